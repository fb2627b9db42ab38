"""Uploads finished files in the background, several at once."""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from userdata.job.run_error import PassingRunError
from userdata.worker.bucket.bucket import Bucket
from userdata.worker.bucket.passing_errors import AWS_ERRORS

logger = logging.getLogger(__name__)

# An image is two requests, one after the other, of some 50 ms each. By itself that is slower than a fast card draws
# with a distilled model, and the machine would wait for its uploads at the end.
AT_ONCE = 4


class Outbox:
    """Uploads files of `folder`, which mirrors the bucket: a file's path below it is its key.

    Threads upload while the worker goes on. `sent` is called with each key, on one of these threads, once the file is
    in the bucket. An upload that fails after all its retries ends the uploading: the next call says so, and the files
    stay in `folder`, from where the next start uploads them.
    """

    def __init__(self, bucket: Bucket, folder: Path, sent: Callable[[str], None]) -> None:
        self._bucket = bucket
        self._folder = folder
        self._sent = sent
        self._failure: tuple[str, Exception] | None = None
        self._threads = ThreadPoolExecutor(max_workers=AT_ONCE, thread_name_prefix="outbox")

    def send(self, *keys: str, picture: bool = False) -> None:
        """Hands over files, each to be uploaded after the one before it, beside those of other calls.

        With `picture` they are an image's record and the image. These, and every other PNG, stay away where another
        machine, or an earlier attempt, was first.
        Raises `PassingRunError` once an upload has failed.
        """
        self._raise_failure()
        self._threads.submit(self._upload, keys, picture)

    def finish(self) -> None:
        """Waits until everything is in the bucket. Raises `PassingRunError` when something is not."""
        self._threads.shutdown(wait=True)
        self._raise_failure()

    def _upload(self, keys: tuple[str, ...], picture: bool) -> None:
        for together in [keys] if picture else [(key,) for key in keys]:
            if self._failure:
                return
            try:
                files = [(key, (self._folder / key).read_bytes()) for key in together]
                if picture:
                    self._bucket.put_picture(*files)
                elif together[0].endswith(".png"):
                    self._bucket.put_once(*files[0])
                else:
                    self._bucket.put(*files[0])
            except (*AWS_ERRORS, OSError) as error:
                logger.error("%s could not be uploaded: %s", together[-1], error)
                self._failure = (together[-1], error)
                return
            for key in together:
                self._sent(key)

    def _raise_failure(self) -> None:
        if self._failure:
            key, error = self._failure
            raise PassingRunError(
                f"{key} could not be uploaded to the bucket {self._bucket.name} ({error}). The images made so far stay "
                "on the instance's disk; correct the cause and start the instance, and they are uploaded."
            ) from error
