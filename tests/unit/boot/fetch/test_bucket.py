import os
from pathlib import Path

import pytest

from userdata.boot.fetch.bucket import Bucket
from userdata.boot.machine import commands
from userdata.boot.machine.step_error import PassingStepError, StepError
from userdata.contract.patience import Patience

ONCE = Patience(attempts=1)


def test_what_is_put_can_be_got_unchanged(bucket_name: str) -> None:
    text = 'a "quoted" \N{HORSE} line\nand $(another)\n'
    bucket = Bucket(bucket_name, patience=ONCE)
    bucket.put("runs/a run/log.txt", text)
    assert bucket.get("runs/a run/log.txt") == text


def test_an_object_that_is_not_there_is_none(bucket_name: str) -> None:
    assert Bucket(bucket_name, patience=ONCE).get("runs/none/status.json") is None


def test_an_object_that_is_too_long_is_no_document_and_is_not_asked_for_again(
    bucket_name: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    bucket = Bucket(bucket_name, patience=Patience(attempts=2, sleep=lambda _: pytest.fail("it is asked for again")))
    bucket.put("runs/long/status.json", "{}" + " " * 5000)
    monkeypatch.setattr(commands, "MOST_SAID", 4000)
    assert bucket.get("runs/long/status.json") == ""
    assert "runs/long/status.json is not read" in caplog.text


def test_what_a_cut_off_download_has_left_does_not_fill_the_disk(bucket_name: str, tmp_path: Path) -> None:
    bucket, file = Bucket(bucket_name, patience=ONCE), tmp_path / "weights/.model.cached"
    bucket.put("cache/weights/model", "the weights")
    file.parent.mkdir()
    others = [file.with_name(name) for name in (".model.cached.part", "model.cached.0123abCD", ".model")]
    for path in (*others, file.with_name(".model.cached.0123abCD")):
        path.touch()
    assert bucket.get_file("cache/weights/model", file)
    assert file.read_text() == "the weights"
    assert set(file.parent.iterdir()) == {file, *others}


def test_a_bucket_that_refuses_is_tried_again_and_then_named(bucket_name: str) -> None:
    naps: list[float] = []
    bucket = Bucket("there-is-no-such-bucket", patience=Patience(attempts=2, sleep=naps.append))
    with pytest.raises(
        StepError, match=r"s3://there-is-no-such-bucket/key could not be written.*NoSuchBucket.*role"
    ) as refused:
        bucket.put("key", "text")
    assert naps == [1]
    assert not isinstance(refused.value, PassingStepError)


def test_a_network_that_is_away_is_told_as_something_that_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with pytest.raises(PassingStepError, match="could not be read"):
        Bucket("a-bucket", patience=ONCE).get("key")


@pytest.mark.parametrize("size", [3000, (5 << 20) + 1])
def test_a_file_is_put_where_nothing_is_and_stays_there(bucket_name: str, tmp_path: Path, size: int) -> None:
    bucket, file, staging = Bucket(bucket_name, patience=ONCE), tmp_path / "model", tmp_path / "staging"
    staging.mkdir()
    first = os.urandom(size)
    for content in (first, os.urandom(size)):
        file.write_bytes(content)
        bucket.put_once(file, "cache/weights/model", staging=staging, piece_bytes=5 << 20)
    assert list(staging.iterdir()) == []
    assert bucket.get_file("cache/weights/model", tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == first
    assert list(bucket.listed("cache/")) == ["cache/weights/model"]
    assert bucket.listed("cash/") == {}
