"""The results bucket as the worker uses it: put, get, list."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, TypeVar

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from userdata.bill.cost import Requests
from userdata.contract.patience import Patience
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
    ".json": "application/json",
    ".png": "image/png",
    ".txt": "text/plain; charset=utf-8",
}


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

    def get(self, key: str) -> bytes | None:
        """The content of `key`, or None when there is no such object."""
        self._count(get=1)
        try:
            return self._patiently(lambda: self._client.get_object(Bucket=self.name, Key=key)["Body"].read())
        except ClientError as error:
            if error.response["Error"]["Code"] in ("NoSuchKey", "404"):
                return None
            raise

    def keys(self, prefix: str) -> set[str]:
        """All keys that begin with `prefix`."""
        paginator = self._client.get_paginator("list_objects_v2")
        pages = self._patiently(lambda: list(paginator.paginate(Bucket=self.name, Prefix=prefix)))
        self._count(put=len(pages))
        return {entry["Key"] for page in pages for entry in page.get("Contents", [])}

    def _patiently(self, action: Callable[[], Answer]) -> Answer:
        return self._patience.retry(action, on=Exception, passes=passes)

    def _count(self, *, put: int = 0, get: int = 0) -> None:
        with self._lock:
            self._requests = Requests(put=self._requests.put + put, get=self._requests.get + get)
