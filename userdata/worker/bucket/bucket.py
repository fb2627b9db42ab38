"""The results bucket as the worker uses it: put, put once, get, list."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, TypeVar

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from userdata.bill.cost import Requests
from userdata.contract.patience import Patience
from userdata.record.image_metadata import record_in_png
from userdata.worker.bucket.passing_errors import passes

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

Answer = TypeVar("Answer")
# Short, since each is met up to eighteen times: a network that swallows everything must not cost hours.
CONFIG = Config(
    retries={"mode": "standard", "total_max_attempts": 2}, connect_timeout=5, read_timeout=20, max_pool_connections=10
)
# 91 s in all, around botocore's own attempts. Rejected: more attempts of botocore. Ten were over within 3 s, and all
# threads share a quota that ends them sooner the longer S3 is away.
PATIENCE = Patience(attempts=9, first_pause=1, longest_pause=20)
CONTENT_TYPES = {
    ".csv": "text/csv; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".png": "image/png",
    ".txt": "text/plain; charset=utf-8",
    ".webp": "image/webp",
}
# Another writer of the same key is at work at this moment: S3 asks to try again.
# Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
CONFLICT = "ConditionalRequestConflict"
NOT_MET = "PreconditionFailed"
MISSING = ("NoSuchKey", "404")
BEHIND_THE_END = "InvalidRange"

# The most that any object of ours may have is an initial image's.
MOST_BYTES = 256 * 1024 * 1024


class Bucket:
    """One bucket. Every method retries what can be retried, then raises botocore's error.

    `requests` counts the requests to S3 so far, from any thread; a repeated request counts once.
    """

    def __init__(self, name: str, *, patience: Patience = PATIENCE, client: S3Client | None = None) -> None:
        self.name = name
        self._patience = patience
        self._client: S3Client = client or boto3.client("s3", config=CONFIG)
        self._lock = threading.Lock()
        self._requests = Requests()

    def counted_anew(self) -> Bucket:
        """The same bucket, over the same connections, with no request so far."""
        return Bucket(self.name, patience=self._patience, client=self._client)

    @property
    def requests(self) -> Requests:
        """The requests so far."""
        with self._lock:
            return self._requests

    def put(self, key: str, content: bytes) -> None:
        """Stores `content`; its type follows from the ending of `key`."""
        self._count(put=1)
        content_type = CONTENT_TYPES[PurePosixPath(key).suffix]
        self._patiently(
            lambda: self._client.put_object(Bucket=self.name, Key=key, Body=content, ContentType=content_type)
        )

    def put_once(self, key: str, content: bytes, *, over: str | None = None) -> bool:
        """Stores `content` unless there is something at `key`; with `over`, an ETag, only in place of just that.

        Returns whether `content` lies there now. An answer that was lost on its way is found out by that too: the
        repeated request is refused, because the first one was not.
        """
        self._count(put=1)
        where = {"Bucket": self.name, "Key": key, "ContentType": CONTENT_TYPES[PurePosixPath(key).suffix]}
        condition = {"IfMatch": over} if over else {"IfNoneMatch": "*"}
        try:
            self._patiently(
                lambda: self._client.put_object(**where, Body=content, **condition),  # type: ignore[arg-type]
                passes=lambda error: passes(error) or code_of(error) == CONFLICT,
            )
        except ClientError as error:
            if code_of(error) not in (NOT_MET, *MISSING):
                raise
            return self.get(key) == content
        return True

    def put_picture(self, record: tuple[str, bytes], image: tuple[str, bytes]) -> None:
        """Stores an image's record and then the image, each once, whoever else is at the same image.

        In the end the record is that inside the image, since whoever comes sees to that: another machine may have died
        between the two, or between its image and the record that it meant to put in place of a dead machine's.
        """
        first = self.put_once(*record)
        if self.put_once(*image):
            if first:
                return
            content = record[1]
        else:
            try:
                content = record_in_png(self.get(image[0]) or b"").to_json()
            except ValueError:
                return  # somebody's own file, which has no record
        found, tag = self.get_with_tag(record[0])
        if found != content:
            self.put_once(record[0], content, over=tag)

    def get(self, key: str) -> bytes | None:
        """The content of `key`, or None when there is no such object."""
        return self.get_with_tag(key)[0]

    def get_with_tag(self, key: str) -> tuple[bytes | None, str | None]:
        """The content of `key` and its ETag, or None twice when there is no such object.

        Of an object of more than `MOST_BYTES` no more is read: whoever reads it then refuses it as too long.
        """

        def read() -> tuple[bytes, str]:
            answer = self._client.get_object(Bucket=self.name, Key=key)
            with contextlib.closing(answer["Body"]) as body:
                # Only a whole read finds out that the connection has ended early.
                too_long = answer["ContentLength"] > MOST_BYTES
                return body.read(MOST_BYTES + 1 if too_long else None), answer["ETag"]

        self._count(get=1)
        try:
            return self._patiently(read)
        except ClientError as error:
            if code_of(error) in MISSING:
                return None, None
            raise

    def get_part(self, key: str, at: int, length: int) -> bytes | None:
        """At most `length` bytes of `key` from byte `at` on; none behind its end, None when there is no such object."""
        self._count(get=1)
        span = f"bytes={at}-{at + length - 1}"
        where = {"Bucket": self.name, "Key": key, "Range": span}
        try:
            return self._patiently(lambda: self._client.get_object(**where)["Body"].read())  # type: ignore[arg-type]
        except ClientError as error:
            if code_of(error) == BEHIND_THE_END:
                return b""
            if code_of(error) in MISSING:
                return None
            raise

    def keys(self, prefix: str) -> set[str]:
        """All keys that begin with `prefix`."""
        return set(self.sorted_keys(prefix))

    def sorted_keys(self, prefix: str, *, after: str = "") -> Iterator[str]:
        """The keys that begin with `prefix` and come behind `after`, in S3's order, a thousand with each request."""
        token: dict[str, str] = {}
        while True:
            answer = self._patiently(
                lambda: self._client.list_objects_v2(Bucket=self.name, Prefix=prefix, StartAfter=after, **token)  # type: ignore[arg-type]  # noqa: B023
            )
            self._count(put=1)
            yield from (entry["Key"] for entry in answer.get("Contents", []))
            if not answer.get("IsTruncated"):
                return
            token = {"ContinuationToken": answer["NextContinuationToken"]}

    def _patiently(
        self, action: Callable[[], Answer], *, passes: Callable[[BaseException | None], bool] = passes
    ) -> Answer:
        return self._patience.retry(action, on=Exception, passes=passes)

    def _count(self, *, put: int = 0, get: int = 0) -> None:
        with self._lock:
            self._requests = Requests(put=self._requests.put + put, get=self._requests.get + get)


def code_of(error: BaseException | None) -> str:
    """The code of an error that S3 has answered; none for any other error."""
    return error.response["Error"]["Code"] if isinstance(error, ClientError) else ""
