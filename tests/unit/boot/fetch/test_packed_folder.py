import io
import json
import os
import subprocess
import tarfile
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import boto3
import pytest

from userdata.boot.fetch.bucket import Bucket
from userdata.boot.fetch.packed_folder import pack_folder, unpack_folder
from userdata.boot.machine.step_error import StepError
from userdata.contract.patience import Patience

PREFIX = "cache/env/0123/"
ONCE = Patience(attempts=1)


class QuickBucket(Bucket):
    """Writes without the `aws` command, whose every start takes a second; test_cache.py packs with it."""

    def put_file(self, path: Path, key: str) -> None:
        boto3.client("s3").upload_file(str(path), self.name, key)

    def put(self, key: str, text: str, content_type: str = "") -> None:
        boto3.client("s3").put_object(Bucket=self.name, Key=key, Body=text.encode())


@pytest.fixture
def bucket(bucket_name: str) -> Bucket:
    return QuickBucket(bucket_name, patience=ONCE)


@pytest.fixture
def packed(bucket: Bucket, tmp_path: Path) -> Path:
    """A folder that lies in the bucket, in four parts."""
    folder = tmp_path / "made" / "ldm"
    (folder / "bin").mkdir(parents=True)
    (folder / "empty").mkdir()
    for name in ("a", "b", "c d\nand a line"):
        (folder / "bin" / name).write_bytes(os.urandom(3000))
    (folder / "bin/a").chmod(0o755)
    (folder / "bin/link").symlink_to("a")
    (folder / "bin/-rf").write_text("")
    pack_folder(bucket, PREFIX, folder, built_from={"machine": "x86_64"}, part_bytes=3000)
    return folder


def tree(folder: Path) -> dict[str, tuple[int, bytes | str | None]]:
    return {
        str(path.relative_to(folder)): (
            path.lstat().st_mode,
            os.readlink(path) if path.is_symlink() else path.read_bytes() if path.is_file() else None,
        )
        for path in sorted(folder.rglob("*"))
    }


def manifest(bucket: Bucket) -> Any:
    return json.loads(boto3.client("s3").get_object(Bucket=bucket.name, Key=PREFIX + "manifest.json")["Body"].read())


def put(bucket: Bucket, name: str, body: bytes) -> None:
    boto3.client("s3").put_object(Bucket=bucket.name, Key=PREFIX + name, Body=body)


def assert_refused(bucket: Bucket, folder: Path, message: str) -> None:
    folder.parent.mkdir(exist_ok=True)
    with pytest.raises((StepError, ValueError), match=message):
        unpack_folder(bucket, PREFIX, folder)
    assert list(folder.parent.iterdir()) == []


def test_a_folder_comes_back_as_it_was(bucket: Bucket, packed: Path, tmp_path: Path) -> None:
    other = tmp_path / "other" / "ldm"
    assert unpack_folder(bucket, PREFIX, other)
    assert tree(other) == tree(packed)
    assert list(other.parent.iterdir()) == [other]
    assert list(packed.parent.iterdir()) == [packed]
    document = manifest(bucket)
    assert len(document["parts"]) == 4
    assert document["built_from"] == {"machine": "x86_64"}


def test_what_is_there_is_replaced_as_a_whole(bucket: Bucket, packed: Path) -> None:
    before = tree(packed)
    (packed / "bin/left over").touch()
    assert unpack_folder(bucket, PREFIX, packed)
    assert tree(packed) == before


def test_nothing_there_is_no_error(bucket: Bucket, tmp_path: Path) -> None:
    assert not unpack_folder(bucket, PREFIX, tmp_path / "ldm")
    assert list(tmp_path.iterdir()) == []


def test_a_part_with_another_byte_is_refused(bucket: Bucket, packed: Path, tmp_path: Path) -> None:
    part = manifest(bucket)["parts"][1]
    content = boto3.client("s3").get_object(Bucket=bucket.name, Key=f"{PREFIX}{part['sha256']}.tar.gz")["Body"].read()
    put(bucket, f"{part['sha256']}.tar.gz", content[:-1] + bytes([content[-1] ^ 1]))
    assert_refused(bucket, tmp_path / "other/ldm", "is damaged")


def test_a_part_that_is_cut_off_is_refused(bucket: Bucket, packed: Path, tmp_path: Path) -> None:
    part = manifest(bucket)["parts"][0]
    put(bucket, f"{part['sha256']}.tar.gz", b"")
    assert_refused(bucket, tmp_path / "other/ldm", "is damaged")


def test_a_missing_part_is_refused(bucket: Bucket, packed: Path, tmp_path: Path) -> None:
    part = manifest(bucket)["parts"][2]
    boto3.client("s3").delete_object(Bucket=bucket.name, Key=f"{PREFIX}{part['sha256']}.tar.gz")
    assert_refused(bucket, tmp_path / "other/ldm", "is missing")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "{}",
        '{"schema": 2, "parts": [], "unpacked_bytes": 1}',
        '{"schema": 1, "parts": [], "unpacked_bytes": 1}',
        '{"schema": 1, "parts": [{"sha256": "../../etc", "bytes": 1}], "unpacked_bytes": 1}',
    ],
)
def test_a_manifest_that_is_none_is_refused(bucket: Bucket, tmp_path: Path, text: str) -> None:
    put(bucket, "manifest.json", text.encode())
    assert_refused(bucket, tmp_path / "other/ldm", "manifest is not one")


def test_too_small_a_disk_is_told_before_anything_is_fetched(bucket: Bucket, packed: Path, tmp_path: Path) -> None:
    document = manifest(bucket)
    document["unpacked_bytes"] = 1 << 60
    put(bucket, "manifest.json", json.dumps(document).encode())
    assert_refused(bucket, tmp_path / "other/ldm", "GB free")


def test_nothing_is_unpacked_outside(bucket: Bucket, packed: Path, tmp_path: Path) -> None:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as archive:
        member = tarfile.TarInfo("../../escaped")
        archive.addfile(member)
    put_part(bucket, made.getvalue())
    assert_refused(bucket, tmp_path / "other/ldm", r"tar ended with 2")
    assert not list(tmp_path.glob("**/escaped"))


def test_a_cut_off_upload_leaves_the_entry_as_it_was(
    bucket: Bucket, packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = tree(packed)
    (packed / "bin/new").write_text("new")
    with monkeypatch.context() as patched:
        patched.setattr(bucket, "put", Mock(side_effect=StepError("the power went")))
        with pytest.raises(StepError):
            pack_folder(bucket, PREFIX, packed, built_from={}, part_bytes=3000)
    other = tmp_path / "other" / "ldm"
    assert unpack_folder(bucket, PREFIX, other)
    assert tree(other) == before


def put_part(bucket: Bucket, content: bytes) -> None:
    """Makes the entry one of a single part, which the manifest vouches for."""
    hashed = subprocess.run(["sha256sum"], input=content, capture_output=True, check=True).stdout.split()[0].decode()
    put(bucket, f"{hashed}.tar.gz", content)
    document = {"schema": 1, "parts": [{"sha256": hashed, "bytes": len(content)}], "unpacked_bytes": 0}
    put(bucket, "manifest.json", json.dumps(document).encode())
