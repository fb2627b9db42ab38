"""Asks the instance's metadata service, always with a token (version 2).

Rejected, for the worker: botocore's `IMDSFetcher`. It asks for a path other than the credentials' and the region's only
by private methods (`_fetch_metadata_token`, `_get_request`). It asks without a token, as version 1, when the token does
not come in time, unless its configuration forbids that. By itself it does not read `AWS_EC2_METADATA_SERVICE_ENDPOINT`.
And the boot, which has no library, needs a client of its own in any case.
"""

from __future__ import annotations

import http.client
import os
import urllib.error
import urllib.request
from typing import Dict, Optional

ENDPOINT = "http://169.254.169.254"
TOKEN_SECONDS = 21600
UNAUTHORIZED = 401


class NoAnswerError(Exception):
    """The metadata service did not answer, or has nothing at that path."""


class MetadataService:
    """The service at `endpoint`: by default at `AWS_EC2_METADATA_SERVICE_ENDPOINT`, as for the AWS tools, or EC2's own.

    An answer may take `seconds`. Nothing is asked again: that is for the caller to decide.
    """

    def __init__(self, endpoint: Optional[str] = None, *, seconds: float = 5) -> None:
        base = endpoint or os.environ.get("AWS_EC2_METADATA_SERVICE_ENDPOINT") or ENDPOINT
        self._base = base.rstrip("/") + "/latest/"
        self._seconds = seconds
        self._token: Optional[str] = None
        # A proxy that is meant for the internet must not be asked for a link-local address.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def get(self, path: str) -> str:
        """The text at `path` below `meta-data/`. Raises `NoAnswerError`."""
        if self._token is None:
            self._token = self._ask("api/token", "PUT", {"X-aws-ec2-metadata-token-ttl-seconds": str(TOKEN_SECONDS)})
        return self._ask(f"meta-data/{path}", "GET", {"X-aws-ec2-metadata-token": self._token})

    def _ask(self, path: str, method: str, headers: Dict[str, str]) -> str:
        request = urllib.request.Request(self._base + path, method=method, headers=headers)  # noqa: S310
        try:
            with self._opener.open(request, timeout=self._seconds) as answer:
                return str(answer.read().decode())
        except (OSError, ValueError, http.client.HTTPException) as error:
            if isinstance(error, urllib.error.HTTPError):
                error.close()
                if error.code == UNAUTHORIZED:
                    self._token = None  # its time is over
            raise NoAnswerError(f"the metadata service at {self._base} did not answer {path}: {error}") from error
