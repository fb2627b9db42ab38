"""A server on a machine's own network that speaks as those do from which conda, packages and weights come."""

from __future__ import annotations

import http.server
import re
import socket
import threading
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

from tests.machine.site.line import Line

LOGIN_PAGE = b"<!doctype html><title>Log in</title><p>You need to agree to share your contact information."


class Hub:
    """Serves `files` by their paths: each first redirects to where its bytes are, which come in ranges if asked.

    `manner` may take over an answer: it gets the handler and the file's bytes, and says whether it has answered.
    `ranges` are the Range headers that came, in order. Answers come as fast as they can where no `line` is given.
    """

    def __init__(self, listener: socket.socket, files: dict[str, bytes], line: Line | None = None) -> None:
        self.files = files
        self.line = line
        self.manner: Callable[[Handler, bytes], bool] = lambda handler, content: False
        self.ranges: list[str | None] = []
        self._server = http.server.ThreadingHTTPServer(listener.getsockname(), Handler, bind_and_activate=False)
        self._server.daemon_threads = True
        self._server.socket.close()
        self._server.socket = listener
        self._server.hub = self  # type: ignore[attr-defined]  # the handler's way back
        threading.Thread(target=self._server.serve_forever, args=(0.1,), daemon=True).start()

    def stop(self) -> None:
        """Stops serving."""
        self._server.shutdown()
        self._server.server_close()


class Handler(http.server.BaseHTTPRequestHandler):
    """One request. Answers one request a connection, as HTTP/1.0 does: an early end is an end."""

    def do_GET(self) -> None:
        hub: Hub = self.server.hub  # type: ignore[attr-defined]
        path, moved = re.subn(r"^/cdn(?=/)", "", unquote(self.path))
        content = hub.files.get(path)
        if content is None:
            return self.answer(404, b"not found")
        if not moved:
            return self.answer(302, b"", {"Location": f"/cdn{self.path}"})
        hub.ranges.append(self.headers.get("Range"))
        return None if hub.manner(self, content) else self.send_content(content)

    def send_content(self, content: bytes, *, stop_after: int | None = None) -> None:
        """The file, or the part of it that was asked for; `stop_after` so many bytes the connection breaks."""
        match = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "")
        start = int(match[1]) if match else 0
        part = content[start : int(match[2]) + 1] if match and match[2] else content[start:]
        headers = {"Content-Type": "text/html" if self.path.endswith("/") else "application/octet-stream"}
        if match:
            headers["Content-Range"] = f"bytes {start}-{start + len(part) - 1}/{len(content)}"
        self.answer(206 if match else 200, part, headers, stop_after=stop_after)

    def answer(
        self, status: int, body: bytes, headers: dict[str, str] | None = None, *, stop_after: int | None = None
    ) -> None:
        """A whole answer, or one that says more than it sends."""
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        line = self.server.hub.line  # type: ignore[attr-defined]
        sent = body if stop_after is None else body[:stop_after]
        if line:
            line.send(self.wfile.write, sent)
        else:
            self.wfile.write(sent)
        self.wfile.flush()

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing."""
