"""Texts and files of a bucket, through the `aws` command.

The command knows credentials, signing, endpoints and their errors. It moves a large file in parallel ranges and tries
each of them again. The standard library does none of that, and the environment with boto3 does not exist yet.
"""

from __future__ import annotations

import json
import logging
import re
from pathlib import Path
from typing import Any, Callable, Dict, Optional, TypeVar

from userdata.boot.machine.commands import CommandError, answer_of
from userdata.boot.machine.disk_space import check_space
from userdata.boot.machine.step_error import PassingStepError, StepError
from userdata.contract.patience import Patience

logger = logging.getLogger(__name__)
CALL_SECONDS = 60
FILE_SECONDS = 1800
Result = TypeVar("Result")
JSON = "application/json"
PLAIN = "text/plain; charset=utf-8"
# What S3 would answer tomorrow as well. `aws` tells of a busy S3 and of a network that is away in other words.
REFUSED = re.compile(r"An error occurred \((?:4\d\d|AccessDenied|NoSuch\w+|Invalid\w+|SignatureDoesNotMatch)\)")


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
            # What a download that was killed has left: gigabytes each time, under a name that none reuses. The command
            # receives into `<name>.<eight hexadecimal digits>`, and removes that only when it ends by itself.
            for file in path.parent.iterdir():
                if re.fullmatch(re.escape(path.name) + r"\.[0-9A-Fa-f]{8}", file.name):
                    file.unlink()
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
            raise self._explained("read", key, error) from error

    def _written(self, key: str, action: Callable[[], object]) -> None:
        try:
            self._patience.retry(action, on=CommandError)
        except CommandError as error:
            raise self._explained("written", key, error) from error

    def _copy(self, *words: str, text: Optional[str] = None, seconds: float = CALL_SECONDS) -> str:
        return _aws("s3", "cp", "--only-show-errors", *words, text=text, seconds=seconds)

    def _explained(self, done: str, key: str, error: CommandError) -> StepError:
        kind = StepError if REFUSED.search(error.output) else PassingStepError
        return kind(
            f"s3://{self.name}/{key} could not be {done}: {error}. "
            "Check that the bucket exists and that the instance's role may use it."
        )


def _aws(*words: str, text: Optional[str] = None, seconds: float = CALL_SECONDS) -> str:
    limits = ("--cli-connect-timeout", "10", "--cli-read-timeout", "30")
    return answer_of(["aws", *limits, *words], seconds=seconds, text=text)
