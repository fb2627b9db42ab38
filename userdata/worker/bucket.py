"""The results bucket as the worker uses it: put, get, list."""

from __future__ import annotations

import threading
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from userdata.worker.cost import Requests

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

# Ten attempts with growing pauses bridge an outage of a minute or two.
PATIENT = Config(
    retries={"mode": "adaptive", "total_max_attempts": 10}, connect_timeout=10, read_timeout=60, max_pool_connections=10
)
CONTENT_TYPES = {
    ".csv": "text/csv; charset=utf-8",
    ".json": "application/json",
    ".png": "image/png",
    ".txt": "text/plain; charset=utf-8",
}


class Bucket:
    """One bucket. Every method retries what can be retried, then raises botocore's error.

    `requests` counts what was asked of S3 so far, from any thread; what was asked again counts once.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._client: S3Client = boto3.client("s3", config=PATIENT)
        self._lock = threading.Lock()
        self._requests = Requests()

    @property
    def requests(self) -> Requests:
        """The requests so far."""
        with self._lock:
            return self._requests

    def put(self, key: str, content: bytes) -> None:
        """Stores `content`; its type follows from the ending of `key`."""
        self._count(put=1)
        content_type = CONTENT_TYPES[PurePosixPath(key).suffix]
        self._client.put_object(Bucket=self.name, Key=key, Body=content, ContentType=content_type)

    def get(self, key: str) -> bytes | None:
        """The content of `key`, or None when there is no such object."""
        self._count(get=1)
        try:
            return self._client.get_object(Bucket=self.name, Key=key)["Body"].read()
        except ClientError as error:
            if error.response["Error"]["Code"] in ("NoSuchKey", "404"):
                return None
            raise

    def keys(self, prefix: str) -> set[str]:
        """All keys that begin with `prefix`."""
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self.name, Prefix=prefix)
        keys = set()
        for page in pages:
            self._count(put=1)
            keys |= {entry["Key"] for entry in page.get("Contents", [])}
        return keys

    def _count(self, *, put: int = 0, get: int = 0) -> None:
        with self._lock:
            self._requests = Requests(put=self._requests.put + put, get=self._requests.get + get)
