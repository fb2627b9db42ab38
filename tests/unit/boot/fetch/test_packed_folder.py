import contextlib
import hashlib
import io
import itertools
import json
import os
import tarfile
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from userdata.boot.fetch import unpacking
from userdata.boot.fetch.bucket import Bucket
from userdata.boot.fetch.packed_folder import pack_folder
from userdata.boot.fetch.unpacking import unpack_folder
from userdata.boot.machine.step_error import StepError
from userdata.contract.patience import Patience

PREFIX = "cache/env/0123/"
ONCE = Patience(attempts=1)


class QuickBucket(Bucket):
    """Does without the `aws` command, whose every start takes a second; test_cache.py packs and unpacks with it."""

    def get_file(self, key: str, path: Path, *, needed: float = 0) -> bool:
        try:
            boto3.client("s3").download_file(self.name, key, str(path))
        except ClientError:
            return False
        return True

    def put_once(self, path: Path, key: str, **_: Any) -> None:
        with contextlib.suppress(ClientError):
            boto3.client("s3").put_object(Bucket=self.name, Key=key, Body=path.read_bytes(), IfNoneMatch="*")


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
    pack(bucket, folder, built_from={"machine": "x86_64"})
    return folder


def pack(bucket: Bucket, folder: Path, built_from: dict[str, str] | None = None) -> None:
    staging = folder.parents[1] / "packing"
    pack_folder(bucket, PREFIX, folder, staging=staging, built_from=built_from or {}, part_bytes=3000)
    assert not staging.exists()


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
        '{"schema": 1, "parts": [{"sha256": "' + "0" * 64 + '", "bytes": 1}], "unpacked_bytes": 1e400}',
        '{"schema": 1, "parts": [{"sha256": "' + "0" * 64 + '", "bytes": 1}], "unpacked_bytes": -1}',
        "[" * 100_000,
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


def link(name: str, to: str, kind: bytes = tarfile.SYMTYPE) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, to
    return member


def special(name: str, kind: bytes = tarfile.REGTYPE, mode: int = 0o644) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.mode, member.devmajor, member.devminor = kind, mode, 1, 3
    return member


OUTSIDE = "../../outside"
ATTACKS = {
    "a name that leads out": [[special(f"{OUTSIDE}/evil")]],
    "a link that leads out": [[link("lib", OUTSIDE)]],
    "a link to the system's folders": [[link("cron", "/etc/cron.d")]],
    "a file through the link of its own part": [[link("lib", OUTSIDE), special("lib/evil")]],
    "a file through the link of another part": [[link("lib", OUTSIDE)], [special("lib/evil")]],
    "a file in the place of another part's link": [[link("lib", f"{OUTSIDE}/victim")], [special("lib")]],
    "a link by way of another part's link": [[link("a/up", "..")], [link("lib", "a/up/../../outside")]],
    "a hard link": [[link("lib", f"{OUTSIDE}/victim", tarfile.LNKTYPE)]],
    "a pipe": [[special("pipe", tarfile.FIFOTYPE)]],
    "a device": [[special("null", tarfile.CHRTYPE)]],
}


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
def test_an_entry_that_attacks_is_refused_and_nothing_is_touched_outside(
    bucket: Bucket, tmp_path: Path, attack: list[list[tarfile.TarInfo]]
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "victim").write_text("untouched")
    for parts in itertools.permutations(attack):
        put_parts(bucket, [archive_of(*members) for members in parts])
        assert_refused(bucket, tmp_path / "other/ldm", ".")
        assert [file.read_text() for file in outside.iterdir()] == ["untouched"]


def test_no_program_gets_the_rights_of_its_owner(bucket: Bucket, tmp_path: Path) -> None:
    put_parts(bucket, [archive_of(special("su", mode=0o6755))])
    assert unpack_folder(bucket, PREFIX, tmp_path / "ldm")
    assert (tmp_path / "ldm/su").stat().st_mode & 0o7777 == 0o755


def test_what_was_closed_can_be_read_by_whoever_draws(bucket: Bucket, packed: Path, tmp_path: Path) -> None:
    (packed / "bin").chmod(0o700)
    (packed / "bin/b").chmod(0o600)
    pack(bucket, packed)
    assert unpack_folder(bucket, PREFIX, tmp_path / "ldm")
    modes = [(tmp_path / "ldm" / name).stat().st_mode & 0o777 for name in ("bin", "bin/b", "bin/a")]
    assert modes == [0o755, 0o644, 0o755]


def test_more_than_the_manifest_says_is_refused(
    bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The archive in one part, and no more in several."""
    monkeypatch.setattr(unpacking, "MARGIN_BYTES", 40_000)
    for count, size in ((1, 1 << 20), (3, 20_000)):
        members = [tarfile.TarInfo(f"zeros{index}") for index in range(count)]
        for member in members:
            member.size = size
        put_parts(bucket, [archive_of(member) for member in members])
        assert_refused(bucket, tmp_path / "other/ldm", "ended with|has more than the 0 bytes")


def test_a_folder_that_would_be_refused_is_not_packed(bucket: Bucket, packed: Path) -> None:
    before = manifest(bucket)
    (packed / "shadow").symlink_to("/etc/shadow")
    with pytest.raises(StepError, match="shadow leads out of"):
        pack(bucket, packed)
    packed.rename(packed.with_name("moved"))
    packed.symlink_to("/etc")
    with pytest.raises(StepError, match="is a link"):
        pack(bucket, packed)
    assert manifest(bucket) == before


def test_what_is_packed_a_second_time_leaves_the_entry_as_it_was(bucket: Bucket, packed: Path, tmp_path: Path) -> None:
    before = tree(packed)
    (packed / "bin/new").write_text("new")
    pack(bucket, packed)
    other = tmp_path / "other" / "ldm"
    assert unpack_folder(bucket, PREFIX, other)
    assert tree(other) == before


def archive_of(*members: tarfile.TarInfo) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as archive:
        for member in members:
            archive.addfile(member, io.BytesIO(bytes(member.size)))
    return made.getvalue()


def put_parts(bucket: Bucket, contents: list[bytes]) -> None:
    """Makes the entry one of these parts, which its manifest vouches for, as whoever may write it can."""
    parts = []
    for content in contents:
        hashed = hashlib.sha256(content).hexdigest()
        put(bucket, f"{hashed}.tar.gz", content)
        parts.append({"sha256": hashed, "bytes": len(content)})
    put(bucket, "manifest.json", json.dumps({"schema": 1, "parts": parts, "unpacked_bytes": 0}).encode())
