"""A bucket on a loopback port that knows what the worker asks of S3, and when each object arrived.

A stand-in and not an emulation of S3, so that a benchmark needs nothing beyond what the worker needs itself.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

from benchmarks.loopback import serving


class Objects:
    """The bucket's objects, and when each one came first, on `time.monotonic`'s clock."""

    def __init__(self) -> None:
        self.contents: dict[str, bytes] = {}
        self.arrived: dict[str, float] = {}
        self.endpoint = ""


@contextmanager
def s3_stand_in() -> Iterator[Objects]:
    """Serves an empty bucket of any name while it is open."""
    objects = Objects()
    with serving(type("Handler", (_Handler,), {"objects": objects})) as objects.endpoint:
        yield objects


class _Handler(BaseHTTPRequestHandler):
    objects: Objects
    protocol_version = "HTTP/1.1"

    def do_PUT(self) -> None:
        content = self._content()
        if self.headers.get("If-None-Match") == "*" and self._key() in self.objects.contents:
            self._answer(412, b"<Error><Code>PreconditionFailed</Code><Message>It is there.</Message></Error>")
            return
        self.objects.contents[self._key()] = content
        self.objects.arrived.setdefault(self._key(), time.monotonic())
        self._answer(200, b"", {"ETag": '"0"'})

    def do_GET(self) -> None:
        query = parse_qs(urlsplit(self.path).query)
        if "list-type" in query:
            prefix = query.get("prefix", [""])[0]
            after = query.get("start-after", [""])[0]
            keys = sorted(key for key in list(self.objects.contents) if key.startswith(prefix) and key > after)
            entries = "".join(f"<Contents><Key>{escape(key)}</Key></Contents>" for key in keys)
            listing = f"<ListBucketResult><IsTruncated>false</IsTruncated>{entries}</ListBucketResult>"
            self._answer(200, listing.encode())
        elif self._key() in self.objects.contents:
            self._answer_with(self.objects.contents[self._key()], self.headers.get("Range"))
        else:
            self._answer(404, b"<Error><Code>NoSuchKey</Code><Message>There is none.</Message></Error>")

    def log_message(self, format: str, *args: object) -> None:
        pass

    def _key(self) -> str:
        return unquote(urlsplit(self.path).path).lstrip("/").partition("/")[2]

    def _content(self) -> bytes:
        if "chunked" not in self.headers.get("Transfer-Encoding", "") and "aws-chunked" not in self.headers.get(
            "Content-Encoding", ""
        ):
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        content = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            content += self.rfile.read(size)
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass  # trailing checksums
        return content

    def _answer_with(self, content: bytes, span: str | None) -> None:
        tag = {"ETag": '"0"'}
        if span is None:
            self._answer(200, content, tag)
            return
        first, last = (int(number) for number in span.removeprefix("bytes=").split("-"))
        if first >= len(content):
            self._answer(416, b"<Error><Code>InvalidRange</Code><Message>There is none.</Message></Error>")
            return
        part = content[first : last + 1]
        where = {"Content-Range": f"bytes {first}-{first + len(part) - 1}/{len(content)}"}
        self._answer(206, part, {**tag, **where})

    def _answer(self, status: int, content: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
