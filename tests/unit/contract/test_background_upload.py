"""What is uploaded in the background: the newest state, never an older one after it, and the last one for certain."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from userdata.contract.background_upload import BackgroundUpload


class SlowBucket:
    """Takes the state only when it is let, and refuses the state `bad`."""

    def __init__(self) -> None:
        self.state = ""
        self.begun = threading.Semaphore(0)
        self.let = threading.Semaphore(0)
        self.taken: list[str] = []

    def upload(self) -> None:
        state = self.state
        self.begun.release()
        assert self.let.acquire(timeout=10)
        if state == "bad":
            raise OSError("refused")
        self.taken.append(state)


@pytest.fixture
def bucket() -> SlowBucket:
    return SlowBucket()


def uploads_to(bucket: SlowBucket, *, pause: float = 0, interval: float = 0) -> BackgroundUpload:
    return BackgroundUpload("the state", bucket.upload, failures=(OSError,), pause=pause, interval=interval)


def change(uploads: BackgroundUpload, bucket: SlowBucket, states: str | list[str]) -> None:
    for state in states:
        bucket.state = state
        uploads.changed()


def test_of_several_states_only_the_latest_is_uploaded(bucket: SlowBucket) -> None:
    uploads = uploads_to(bucket)
    change(uploads, bucket, "1")
    assert bucket.begun.acquire(timeout=10)
    change(uploads, bucket, "234")
    bucket.let.release()
    assert bucket.begun.acquire(timeout=10)
    bucket.let.release()
    assert uploads.settle(10)
    assert bucket.taken == ["1", "4"]


def test_what_has_not_changed_is_not_uploaded_again(bucket: SlowBucket) -> None:
    bucket.let.release(2)
    uploads = uploads_to(bucket)
    change(uploads, bucket, "1")
    assert bucket.begun.acquire(timeout=10)
    assert uploads.settle(10)
    assert not bucket.begun.acquire(timeout=0.05)
    assert bucket.taken == ["1"]


def test_an_upload_that_fails_is_told_and_does_not_stop_the_next(
    bucket: SlowBucket, caplog: pytest.LogCaptureFixture
) -> None:
    uploads = uploads_to(bucket)
    change(uploads, bucket, ["bad"])
    assert bucket.begun.acquire(timeout=10)
    change(uploads, bucket, ["good"])
    bucket.let.release(2)
    assert bucket.begun.acquire(timeout=10)
    assert uploads.settle(10)
    assert bucket.taken == ["good"]
    assert "the state was not uploaded: refused" in caplog.text


def test_settling_forgets_what_waits_and_gives_up_on_what_hangs(bucket: SlowBucket) -> None:
    uploads = uploads_to(bucket)
    change(uploads, bucket, "1")
    assert bucket.begun.acquire(timeout=10)
    change(uploads, bucket, "2")
    assert not uploads.settle(0.05)
    bucket.let.release(2)
    assert uploads.settle(10)
    assert bucket.taken == ["1"]


def test_a_state_that_is_settled_within_the_pause_is_not_told(bucket: SlowBucket) -> None:
    bucket.let.release(2)
    uploads = uploads_to(bucket, pause=60)
    change(uploads, bucket, "12")
    assert uploads.settle(10)
    assert bucket.taken == []


def test_of_states_within_the_pause_the_last_is_told(bucket: SlowBucket) -> None:
    bucket.let.release(2)
    uploads = uploads_to(bucket, pause=1)
    change(uploads, bucket, "123")
    assert bucket.begun.acquire(timeout=10)
    assert uploads.settle(10)
    assert bucket.taken == ["3"]


def test_many_changes_within_the_interval_are_few_uploads_and_the_last_one_arrives(bucket: SlowBucket) -> None:
    bucket.let.release(3)
    uploads = uploads_to(bucket, interval=60)
    change(uploads, bucket, ["first"])
    assert bucket.begun.acquire(timeout=10)
    change(uploads, bucket, [str(number) for number in range(1000)])
    assert not bucket.begun.acquire(timeout=0.05)
    uploads.close()
    assert bucket.taken[-1] == "999"
    assert len(bucket.taken) == 2


@pytest.mark.parametrize("pause", [0, 60])
def test_a_close_during_an_upload_or_its_pause_tells_the_last_state(bucket: SlowBucket, pause: float) -> None:
    uploads = uploads_to(bucket, pause=pause)
    change(uploads, bucket, "1")
    if not pause:
        assert bucket.begun.acquire(timeout=10)
        change(uploads, bucket, "2")
    closer = threading.Thread(target=uploads.close, daemon=True)
    closer.start()
    wait_until(lambda: uploads._closing)
    bucket.let.release(2)
    closer.join(10)
    assert not closer.is_alive()
    assert bucket.taken == (["1"] if pause else ["1", "2"])


def test_a_last_state_that_cannot_be_told_is_an_error(bucket: SlowBucket) -> None:
    bucket.let.release(2)
    uploads = uploads_to(bucket, pause=60)
    change(uploads, bucket, ["bad"])
    with pytest.raises(OSError, match="refused"):
        uploads.close()


def test_nothing_is_told_where_nothing_changed(bucket: SlowBucket) -> None:
    uploads_to(bucket).close()
    assert bucket.taken == []


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)
