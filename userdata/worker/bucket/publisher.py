"""Keeps one object of the bucket up to date with something that keeps changing."""

from __future__ import annotations

from collections.abc import Callable

from userdata.contract.background_upload import BackgroundUpload
from userdata.worker.bucket.bucket import Bucket
from userdata.worker.bucket.passing_errors import AWS_ERRORS


class Publisher(BackgroundUpload):
    """Uploads what `render` returns to `key`, in the background, at most once in `interval` seconds."""

    def __init__(self, bucket: Bucket, key: str, render: Callable[[], bytes], *, interval: float) -> None:
        failures = (*AWS_ERRORS, OSError)
        super().__init__(key, lambda: bucket.put(key, render()), failures=failures, interval=interval)
