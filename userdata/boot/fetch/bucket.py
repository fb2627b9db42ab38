"""The results bucket, as far as a boot needs it: texts and files, through the `aws` command.

The command knows credentials, signing, endpoints and their errors, and moves a large file in parallel ranges, each of
which it tries again; the standard library knows none of that, and the environment with boto3 does not exist yet.
"""

from __future__ import annotations

import json
import logging
import re
import threading
from pathlib import Path
from typing import Any, Callable, Dict, Optional, TypeVar

from userdata.boot.machine.commands import CommandError, answer_of
from userdata.boot.machine.disk_space import check_space
from userdata.boot.machine.step_error import StepError
from userdata.contract.patience import Patience

logger = logging.getLogger(__name__)
CALL_SECONDS = 60
FILE_SECONDS = 1800
Result = TypeVar("Result")
JSON = "application/json"
PLAIN = "text/plain; charset=utf-8"
TELLING_SECONDS = 2.0


class Bucket:
    """Reads and writes objects of one bucket. Thread-safe: every call is a process of its own."""

    def __init__(self, name: str, *, patience: Optional[Patience] = None) -> None:
        self.name = name
        self._patience = patience or Patience(attempts=6, first_pause=2)  # a minute

    def get(self, key: str) -> Optional[str]:
        """The text of an object, or None when there is no such object. Raises `StepError` when S3 does not say."""
        return self._found(key, lambda: self._copy(f"s3://{self.name}/{key}", "-"))

    def get_file(self, key: str, path: Path, *, needed: float = 0) -> bool:
        """Writes an object to `path`; False when there is no such object.

        Raises `StepError` as `get` does, and when the disk has not `needed` bytes free.
        """
        source = f"s3://{self.name}/{key}"

        def fetch() -> str:
            _remove_unfinished(path)
            check_space(path, needed)
            return self._copy(source, str(path), seconds=FILE_SECONDS)

        return self._found(key, fetch) is not None

    def size(self, key: str) -> Optional[int]:
        """How many bytes an object has, or None when there is no such object. Raises `StepError` as `get` does."""
        head = self.head(key)
        return None if head is None else int(head["ContentLength"])

    def head(self, key: str) -> Optional[Dict[str, Any]]:
        """What S3 says about an object, by the API's names (`ContentLength`, `ETag`), or None when there is none.

        Raises `StepError` as `get` does.
        """
        words = ("s3api", "head-object", "--output", "json", "--bucket", self.name, "--key", key)
        answer = self._found(key, lambda: _aws(*words))
        return None if answer is None else dict(json.loads(answer))

    def put_file(self, path: Path, key: str) -> None:
        """Writes the file at `path` to an object. Raises `StepError` when S3 does not take it."""
        self._written(key, lambda: self._copy(str(path), f"s3://{self.name}/{key}", seconds=FILE_SECONDS))

    def put(self, key: str, text: str, content_type: str = JSON) -> None:
        """Writes an object. Raises `StepError` when S3 does not take it."""
        words = ("-", f"s3://{self.name}/{key}", "--content-type", content_type)
        self._written(key, lambda: self._copy(*words, text=text))

    def _found(self, key: str, action: Callable[[], Result]) -> Optional[Result]:
        def attempt() -> Optional[Result]:
            try:
                return action()
            except CommandError as error:
                if "(404)" in error.output or "NoSuchKey" in error.output:
                    return None
                raise

        try:
            return self._patience.retry(attempt, on=CommandError)
        except CommandError as error:
            raise StepError(self._explain("read", key, error)) from error

    def _written(self, key: str, action: Callable[[], object]) -> None:
        try:
            self._patience.retry(action, on=CommandError)
        except CommandError as error:
            raise StepError(self._explain("written", key, error)) from error

    def _copy(self, *words: str, text: Optional[str] = None, seconds: float = CALL_SECONDS) -> str:
        return _aws("s3", "cp", "--only-show-errors", *words, text=text, seconds=seconds)

    def _explain(self, done: str, key: str, error: Exception) -> str:
        return (
            f"s3://{self.name}/{key} could not be {done}: {error}. "
            "Check that the bucket exists and that the instance's role may use it."
        )


def _remove_unfinished(path: Path) -> None:
    """Removes what a download to `path` that was killed has left: gigabytes each time, under a name that none reuses.

    The command receives into `<name>.<eight hexadecimal digits>`, and takes that away only when it ends by itself.
    """
    unfinished = re.compile(re.escape(path.name) + r"\.[0-9A-Fa-f]{8}")
    for file in path.parent.glob("*"):
        if unfinished.fullmatch(file.name):
            file.unlink()


def _aws(*words: str, text: Optional[str] = None, seconds: float = CALL_SECONDS) -> str:
    limits = ("--cli-connect-timeout", "10", "--cli-read-timeout", "30")
    return answer_of(["aws", *limits, *words], seconds=seconds, text=text)


class LatestTexts:
    """Uploads in the background; of several texts for one key only the latest matters.

    A boot must not wait for its own progress reports, nor fail for them: what cannot be uploaded is logged. Before each
    upload there are `pause` seconds: it takes a process and about a second, and a boot with nothing to do is over
    sooner than that.
    """

    def __init__(self, bucket: Bucket, *, pause: float = TELLING_SECONDS) -> None:
        self._bucket = bucket
        self._pause = pause
        self._waiting: dict[str, str] = {}
        self._changed = threading.Condition()
        self._busy = False
        threading.Thread(target=self._upload_for_ever, name="uploads", daemon=True).start()

    def put(self, key: str, text: str) -> None:
        """Takes a text; returns at once."""
        with self._changed:
            self._waiting[key] = text
            self._changed.notify_all()

    def settle(self, seconds: float = 300) -> bool:
        """Forgets what waits, and returns when what is under way has ended; False when that takes `seconds`.

        For whoever has something newer to tell next. The default is longer than one upload with all its attempts.
        """
        with self._changed:
            self._waiting.clear()
            settled = self._changed.wait_for(lambda: not self._busy, seconds)
        if not settled:
            logger.warning("an upload is still under way after %g s", seconds)
        return settled

    def _upload_for_ever(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting)
                if self._changed.wait_for(lambda: not self._waiting, self._pause):
                    continue  # settled meanwhile
                key = next(iter(self._waiting))
                text = self._waiting.pop(key)
                self._busy = True
            try:
                self._bucket.put(key, text)
            except StepError as error:
                logger.warning("%s", error)
            finally:
                with self._changed:
                    self._busy = False
                    self._changed.notify_all()
