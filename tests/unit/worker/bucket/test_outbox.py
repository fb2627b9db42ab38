"""Files on their way to the bucket: which wait for which, and what a failure leaves."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from botocore.exceptions import EndpointConnectionError

from userdata.job.run_error import RunError
from userdata.worker.bucket.bucket import Bucket
from userdata.worker.bucket.outbox import Outbox


class HeldBucket(Bucket):
    """Takes a key only once it is let in, and fails for those that are `broken`."""

    def __init__(self, folder: Path, *names: str) -> None:
        self.name = "results"
        self.begun = {name: threading.Event() for name in names}
        self.let_in = {name: threading.Event() for name in names}
        self.taken: list[str] = []
        self.broken: set[str] = set()
        for name in names:
            (folder / name).write_text(name)

    def put(self, key: str, content: bytes) -> None:
        self.begun[key].set()
        assert self.let_in[key].wait(10)
        if key in self.broken:
            raise EndpointConnectionError(endpoint_url="https://s3.invalid")
        assert content == key.encode()
        self.taken.append(key)

    def put_once(self, key: str, content: bytes, *, over: str | None = None) -> bool:
        self.put(key, content)
        return True


def test_a_slow_upload_holds_up_only_what_was_handed_over_with_it(tmp_path: Path) -> None:
    bucket = HeldBucket(tmp_path, "0.json", "0.png", "1.json", "1.png")
    sent: list[str] = []
    one_is_there = threading.Event()

    def hear(key: str) -> None:
        sent.append(key)
        if key == "1.png":
            one_is_there.set()

    outbox = Outbox(bucket, tmp_path, hear)
    outbox.send("0.json", "0.png")
    outbox.send("1.json", "1.png")
    for name in ("0.png", "1.json", "1.png"):
        bucket.let_in[name].set()
    assert one_is_there.wait(10)
    assert bucket.begun["0.json"].wait(10)
    assert not bucket.begun["0.png"].is_set()
    bucket.let_in["0.json"].set()
    outbox.finish()
    assert bucket.taken == sent == ["1.json", "1.png", "0.json", "0.png"]


def test_an_image_whose_metadata_cannot_be_uploaded_does_not_go_ahead_of_it(tmp_path: Path) -> None:
    bucket = HeldBucket(tmp_path, "0.json", "0.png")
    bucket.broken = {"0.json"}
    for event in bucket.let_in.values():
        event.set()
    sent: list[str] = []
    outbox = Outbox(bucket, tmp_path, sent.append)
    outbox.send("0.json", "0.png")
    with pytest.raises(RunError, match=r"0\.json could not be uploaded to the bucket results.*start the instance"):
        outbox.finish()
    assert sent == bucket.taken == []
    assert (tmp_path / "0.png").exists()
    with pytest.raises(RunError):
        outbox.send("0.png")
