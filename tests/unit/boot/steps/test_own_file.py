import functools
import hashlib
import shutil
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import boto3
import pytest

from tests.unit.boot.given_machine import given_machine
from tests.unit.boot.loopback import reply, reply_with_ranges, serving
from userdata.boot.fetch.request import Manner
from userdata.boot.machine.step_error import StepError
from userdata.boot.steps.downloads import Downloads
from userdata.boot.steps.secret import read_secret
from userdata.contract.patience import Patience

CONTENT = b"weights" * 1000
SHA256 = hashlib.sha256(CONTENT).hexdigest()
COMMIT = "0123456789abcdef0123456789abcdef01234567"
ONCE = Manner(patience=Patience(attempts=1), stall_seconds=5, margin_bytes=0)


def downloads_of(folder: Path, settings: dict[str, str] | None = None, hub_token: str = "") -> Downloads:
    return Downloads(given_machine(folder, settings, {"HubToken": hub_token}), manner=ONCE)


def hub(handler: BaseHTTPRequestHandler) -> None:
    if handler.command == "HEAD":
        headers = {"X-Linked-ETag": f'"{SHA256}"', "X-Linked-Size": str(len(CONTENT)), "X-Repo-Commit": COMMIT}
        reply(handler, 302, headers={**headers, "Location": "https://storage.example.org/"})
    else:
        reply_with_ranges(handler, CONTENT)


def test_a_file_of_the_hub_is_fetched_once_from_the_commit_that_was_named(tmp_path: Path) -> None:
    with serving(hub) as server:
        downloads = downloads_of(tmp_path, {"SD_WEIGHTS_URL": server.url})
        file = downloads.own("hf:owner/name/deep/model.safetensors", tmp_path)
        assert file == tmp_path / "model.safetensors"
        assert file.read_bytes() == CONTENT
        assert [path for path, _ in server.asked] == [
            "/owner/name/resolve/main/deep/model.safetensors",
            f"/owner/name/resolve/{COMMIT}/deep/model.safetensors",
        ]
        assert downloads.own("hf:owner/name/deep/model.safetensors", tmp_path) == file
        assert len(server.asked) == 2


def test_what_the_hub_vouches_for_and_sends_otherwise_is_not_kept(tmp_path: Path) -> None:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        hub(handler) if handler.command == "HEAD" else reply_with_ranges(handler, CONTENT[::-1])

    with serving(answer) as server, pytest.raises(StepError, match=f"but {SHA256} is pinned, twice"):
        downloads_of(tmp_path, {"SD_WEIGHTS_URL": server.url}).own("hf:owner/name/model.safetensors", tmp_path)
    assert not (tmp_path / "model.safetensors").exists()


def test_an_object_is_fetched_again_when_its_owner_replaces_it(tmp_path: Path, bucket_name: str) -> None:
    s3 = boto3.client("s3")
    downloads = downloads_of(tmp_path)
    reference = f"s3://{bucket_name}/xl/mine.safetensors"
    s3.put_object(Bucket=bucket_name, Key="xl/mine.safetensors", Body=CONTENT)
    file = downloads.own(reference, tmp_path)
    assert file.read_bytes() == CONTENT
    fetched = file.stat()
    assert downloads.own(reference, tmp_path).stat().st_ino == fetched.st_ino
    s3.put_object(Bucket=bucket_name, Key="xl/mine.safetensors", Body=CONTENT[::-1])
    assert downloads.own(reference, tmp_path).read_bytes() == CONTENT[::-1]


def test_a_disk_too_small_for_an_object_is_told_before_it_is_fetched(
    tmp_path: Path, bucket_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    boto3.client("s3").put_object(Bucket=bucket_name, Key="mine.safetensors", Body=CONTENT)
    free = shutil._ntuple_diskusage(10_000, 3001, len(CONTENT) - 1)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: free)
    with pytest.raises(StepError, match=r"7.0 kB free.*needs 7.0 kB.*VolumeSize"):
        downloads_of(tmp_path).own(f"s3://{bucket_name}/mine.safetensors", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_an_object_that_is_not_there_is_told(tmp_path: Path, bucket_name: str) -> None:
    with pytest.raises(StepError, match=f"no object s3://{bucket_name}/none.safetensors. Upload it"):
        downloads_of(tmp_path).own(f"s3://{bucket_name}/none.safetensors", tmp_path)


def test_the_token_is_read_by_its_name_when_it_is_needed_and_once(
    tmp_path: Path, bucket_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    boto3.client("ssm").put_parameter(Name="/sd/hub", Value="hf_secret", Type="SecureString")
    with serving(hub) as server:
        downloads = downloads_of(tmp_path, {"SD_WEIGHTS_URL": server.url}, hub_token="/sd/hub")
        downloads.own("hf:owner/name/model.safetensors", tmp_path / "one")
        assert {headers["authorization"] for _, headers in server.asked} == {"Bearer hf_secret"}
        boto3.client("ssm").delete_parameter(Name="/sd/hub")
        downloads.own("hf:owner/name/other.safetensors", tmp_path / "two")


def test_a_token_that_is_not_there_is_told_with_how_to_store_it(
    tmp_path: Path, bucket_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    once = functools.partial(read_secret, patience=Patience(attempts=1))
    monkeypatch.setattr("userdata.boot.steps.downloads.read_secret", once)
    downloads = downloads_of(tmp_path, hub_token="/sd/none")
    with pytest.raises(StepError, match="token /sd/none could not be read .*put-parameter --type SecureString"):
        downloads.own("hf:owner/name/model.safetensors", tmp_path)
