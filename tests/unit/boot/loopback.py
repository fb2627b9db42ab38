"""HTTP servers on the loopback interface, each answering as its test says."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Answer = Callable[[BaseHTTPRequestHandler], None]


@dataclass
class Served:
    """A running server: its address, and what it was asked, as (path, headers in lower case)."""

    url: str
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)


@contextlib.contextmanager
def serving(answer: Answer) -> Iterator[Served]:
    """Serves every request with `answer` until the block ends."""
    served = Served("")

    class Handler(BaseHTTPRequestHandler):
        def handle_any(self) -> None:
            served.asked.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
            answer(self)

        do_GET = handle_any
        do_PUT = handle_any
        do_HEAD = handle_any

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    served.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield served
    finally:
        server.shutdown()
        server.server_close()


def reply(
    handler: BaseHTTPRequestHandler, code: int = 200, body: bytes = b"", headers: dict[str, str] | None = None
) -> None:
    """A whole answer with its length."""
    handler.send_response(code)
    for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
        handler.send_header(name, value)
    handler.end_headers()
    handler.wfile.write(body)


def reply_with_ranges(handler: BaseHTTPRequestHandler, content: bytes, *, at_most: int | None = None) -> None:
    """Serves `content` as a good file server does; `at_most` breaks the connection after so many bytes."""
    first, _, last = handler.headers.get("Range", "bytes=0-").removeprefix("bytes=").partition("-")
    start = int(first)
    if start >= len(content):
        reply(handler, 416, headers={"Content-Range": f"bytes */{len(content)}"})
        return
    rest = content[start : int(last) + 1] if last else content[start:]
    ranged = "Range" in handler.headers
    handler.send_response(206 if ranged else 200)
    handler.send_header("Content-Length", str(len(rest)))
    if ranged:
        handler.send_header("Content-Range", f"bytes {start}-{start + len(rest) - 1}/{len(content)}")
    handler.end_headers()
    handler.wfile.write(rest[:at_most])
