"""Texts and files of a bucket, through the `aws` command.

The command knows credentials, signing, endpoints and their errors. It moves a large file in parallel ranges and tries
each of them again. The standard library does none of that, and the environment with boto3 does not exist yet.
"""

from __future__ import annotations

import json
import logging
import math
import re
from pathlib import Path
from typing import Any, Callable, Dict, Optional, TypeVar

from userdata.boot.machine.commands import CommandError, TooMuchSaidError, answer_of
from userdata.boot.machine.disk_space import check_space
from userdata.boot.machine.side_by_side import side_by_side
from userdata.boot.machine.step_error import PassingStepError, StepError
from userdata.contract.outside import read_json
from userdata.contract.patience import Patience

logger = logging.getLogger(__name__)
CALL_SECONDS = 60
FILE_SECONDS = 1800
MOST_LISTED = 5000
# Of a file in the memory and on the disk at a time, as often as there are processors.
PIECE_BYTES = 128 << 20
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
        """The text of an object, or None when there is no such object. Raises `StepError` when S3 does not say.

        An object that is longer than anything of ours counts as empty, in which nobody finds a document.
        """

        def fetch() -> str:
            try:
                return self._copy(f"s3://{self.name}/{key}", "-")
            except TooMuchSaidError as error:
                logger.warning("s3://%s/%s is not read: %s", self.name, key, error)
                return ""

        return self._found(key, fetch)

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
        return self._found(key, lambda: self._api("head-object", "--key", key))

    def listed(self, prefix: str) -> Dict[str, str]:
        """When each object below `prefix` was written, by its key; a few thousand of them. Raises `StepError`."""
        words = ("list-objects-v2", "--prefix", prefix, "--max-items", str(MOST_LISTED))
        answer = self._found(prefix, lambda: self._api(*words)) or {}
        return {str(one["Key"]): str(one["LastModified"]) for one in answer.get("Contents", [])}

    def put_once(self, path: Path, key: str, *, staging: Path, piece_bytes: int = PIECE_BYTES) -> None:
        """Writes the file at `path` to an object, unless there is one, which stays.

        A large file goes in pieces, which are copied to the folder `staging` first: the bucket's policy takes no write
        that could replace something, and `aws s3 cp` cannot say that its does not. Raises `StepError` when S3 does not
        take it; what has arrived of it then is deleted by the bucket's rule.
        """
        if path.stat().st_size <= piece_bytes:
            self._end_once("put-object", key, "--body", str(path))
            return
        begun = self._written(key, lambda: self._api("create-multipart-upload", "--key", key))
        upload = ("--upload-id", str(begun["UploadId"]))

        def send(number: int) -> Dict[str, Any]:
            piece = staging / f"{path.name}.{number}"
            with path.open("rb") as file:
                file.seek((number - 1) * piece_bytes)
                piece.write_bytes(file.read(piece_bytes))
            words = ("upload-part", "--key", key, *upload, "--part-number", str(number), "--body", str(piece))
            sent = self._written(key, lambda: self._api(*words, seconds=FILE_SECONDS))
            piece.unlink()
            # S3 asks for a checksum that came with a piece again in the end.
            return {"PartNumber": number, **{name: sent[name] for name in sent if re.match("ETag|Checksum", name)}}

        pieces = side_by_side(send, range(1, math.ceil(path.stat().st_size / piece_bytes) + 1))
        self._end_once("complete-multipart-upload", key, *upload, "--multipart-upload", json.dumps({"Parts": pieces}))

    def _end_once(self, operation: str, key: str, *words: str) -> None:
        def end() -> None:
            try:
                self._api(operation, "--key", key, *words, "--if-none-match", "*", seconds=FILE_SECONDS)
            except CommandError as error:
                if "(PreconditionFailed)" not in error.output:
                    raise

        self._written(key, end)

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

    def _written(self, key: str, action: Callable[[], Result]) -> Result:
        try:
            return self._patience.retry(action, on=CommandError)
        except CommandError as error:
            raise self._explained("written", key, error) from error

    def _api(self, operation: str, *words: str, seconds: float = CALL_SECONDS) -> Dict[str, Any]:
        """What S3 answers, by the API's names."""
        answer = _aws("s3api", operation, "--output", "json", "--bucket", self.name, *words, seconds=seconds)
        return read_json(answer or "{}")

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
