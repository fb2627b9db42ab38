from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest
from botocore.exceptions import EndpointConnectionError

from userdata.worker.bucket.bucket import Bucket
from userdata.worker.bucket.publisher import Publisher

KEY = "runs/x/status.json"


class CountingBucket(Bucket):
    """Keeps what is put, and fails while `broken`."""

    def __init__(self) -> None:
        self.contents: list[bytes] = []
        self.broken = threading.Event()

    def put(self, key: str, content: bytes) -> None:
        assert key == KEY
        if self.broken.is_set():
            raise EndpointConnectionError(endpoint_url="https://s3.invalid")
        self.contents.append(content)


def test_many_changes_are_few_uploads_and_the_last_one_arrives() -> None:
    bucket, state = CountingBucket(), [0]
    publisher = Publisher(bucket, KEY, lambda: str(state[0]).encode(), interval=60)
    for number in range(1000):
        state[0] = number
        publisher.changed()
    _wait_until(lambda: bool(bucket.contents))
    publisher.close()
    assert len(bucket.contents) == 2
    assert bucket.contents[-1] == b"999"


def test_outage_in_between_costs_nothing_but_time() -> None:
    bucket = CountingBucket()
    bucket.broken.set()
    publisher = Publisher(bucket, KEY, lambda: b"done", interval=0.01)
    publisher.changed()
    bucket.broken.clear()
    publisher.close()
    assert bucket.contents[-1] == b"done"


def test_last_state_that_cannot_be_told_is_an_error() -> None:
    bucket = CountingBucket()
    bucket.broken.set()
    publisher = Publisher(bucket, KEY, lambda: b"done", interval=0.01)
    publisher.changed()
    with pytest.raises(EndpointConnectionError):
        publisher.close()


def test_nothing_is_told_where_nothing_changed() -> None:
    bucket = CountingBucket()
    Publisher(bucket, KEY, lambda: b"", interval=0.01).close()
    assert bucket.contents == []


class SlowAnswer(threading.Event):
    """Its first answer, from before anybody has set it, reaches who asked only after `then`."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = threading.Event()
        self.then = threading.Event()

    def is_set(self) -> bool:
        answer = super().is_set()
        if not self.asked.is_set():
            self.asked.set()
            assert self.then.wait(10)
        return answer


def test_a_close_right_after_a_change_is_not_missed() -> None:
    bucket, closing = CountingBucket(), SlowAnswer()
    publisher = Publisher(bucket, KEY, lambda: b"done", interval=0.01)
    publisher._closing = closing
    publisher.changed()
    assert closing.asked.wait(10)
    closer = threading.Thread(target=publisher.close, daemon=True)
    closer.start()
    _wait_until(lambda: threading.Event.is_set(closing) and publisher._changed.is_set())
    closing.then.set()
    closer.join(5)
    assert not closer.is_alive()
    assert bucket.contents[-1] == b"done"


def _wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)
