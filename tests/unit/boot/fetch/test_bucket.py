import threading
from pathlib import Path

import pytest

from userdata.boot.fetch.bucket import Bucket, LatestTexts
from userdata.boot.machine.step_error import StepError
from userdata.contract.patience import Patience

ONCE = Patience(attempts=1)


def test_what_is_put_can_be_got_unchanged(bucket_name: str) -> None:
    text = 'a "quoted" \N{HORSE} line\nand $(another)\n'
    bucket = Bucket(bucket_name, patience=ONCE)
    bucket.put("runs/a run/log.txt", text)
    assert bucket.get("runs/a run/log.txt") == text


def test_an_object_that_is_not_there_is_none(bucket_name: str) -> None:
    assert Bucket(bucket_name, patience=ONCE).get("runs/none/status.json") is None


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
    with pytest.raises(StepError, match=r"s3://there-is-no-such-bucket/key could not be written.*NoSuchBucket.*role"):
        bucket.put("key", "text")
    assert naps == [1]


class SlowBucket(Bucket):
    """Takes a text only when it is let; a key called `bad` it refuses."""

    def __init__(self) -> None:
        super().__init__("slow")
        self.begun = threading.Semaphore(0)
        self.let = threading.Semaphore(0)
        self.taken: list[tuple[str, str]] = []

    def put(self, key: str, text: str, content_type: str = "") -> None:
        self.begun.release()
        assert self.let.acquire(timeout=10)
        if key == "bad":
            raise StepError("refused")
        self.taken.append((key, text))


def test_of_several_texts_for_one_key_only_the_latest_is_uploaded() -> None:
    bucket = SlowBucket()
    uploads = LatestTexts(bucket, pause=0)
    uploads.put("status", "1")
    assert bucket.begun.acquire(timeout=10)
    for text in "234":
        uploads.put("status", text)
    bucket.let.release()
    assert bucket.begun.acquire(timeout=10)
    bucket.let.release()
    assert uploads.settle(10)
    assert bucket.taken == [("status", "1"), ("status", "4")]


def test_an_upload_that_fails_does_not_stop_the_next() -> None:
    bucket = SlowBucket()
    uploads = LatestTexts(bucket, pause=0)
    uploads.put("bad", "1")
    uploads.put("good", "2")
    bucket.let.release(2)
    for _ in range(2):
        assert bucket.begun.acquire(timeout=10)
    assert uploads.settle(10)
    assert bucket.taken == [("good", "2")]


def test_settling_forgets_what_waits_and_gives_up_on_what_hangs() -> None:
    bucket = SlowBucket()
    uploads = LatestTexts(bucket, pause=0)
    uploads.put("one", "1")
    assert bucket.begun.acquire(timeout=10)
    uploads.put("two", "2")
    assert not uploads.settle(0.05)
    bucket.let.release(2)
    assert uploads.settle(10)
    assert bucket.taken == [("one", "1")]


def test_steps_that_are_over_at_once_are_not_told() -> None:
    bucket = SlowBucket()
    bucket.let.release(2)
    uploads = LatestTexts(bucket, pause=60)
    uploads.put("status", "1")
    uploads.put("status", "2")
    assert uploads.settle(10)
    assert bucket.taken == []


def test_of_steps_that_are_over_soon_the_last_is_told() -> None:
    bucket = SlowBucket()
    bucket.let.release(2)
    uploads = LatestTexts(bucket, pause=0.2)
    for text in "123":
        uploads.put("status", text)
    assert bucket.begun.acquire(timeout=10)
    assert uploads.settle(10)
    assert bucket.taken == [("status", "3")]
