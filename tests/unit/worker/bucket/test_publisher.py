from __future__ import annotations

import threading

import pytest
from botocore.exceptions import EndpointConnectionError

from userdata.worker.bucket.bucket import Bucket
from userdata.worker.bucket.publisher import Publisher

KEY = "runs/x/status.json"


class CountingBucket(Bucket):
    """Keeps what is put, and fails while `broken`; `asked` is set by each attempt."""

    def __init__(self) -> None:
        self.contents: list[bytes] = []
        self.broken = threading.Event()
        self.asked = threading.Event()

    def put(self, key: str, content: bytes) -> None:
        assert key == KEY
        self.asked.set()
        if self.broken.is_set():
            raise EndpointConnectionError(endpoint_url="https://s3.invalid")
        self.contents.append(content)


def test_the_state_of_each_upload_is_rendered_then() -> None:
    bucket, state = CountingBucket(), [b"1"]
    publisher = Publisher(bucket, KEY, lambda: state[0], interval=60)
    publisher.changed()
    assert bucket.asked.wait(10)
    state[0] = b"2"
    publisher.changed()
    publisher.close()
    assert bucket.contents == [b"1", b"2"]


def test_outage_in_between_costs_nothing_but_time() -> None:
    bucket = CountingBucket()
    bucket.broken.set()
    publisher = Publisher(bucket, KEY, lambda: b"done", interval=0.01)
    publisher.changed()
    assert bucket.asked.wait(10)
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
