"""A proxy between one machine and one HTTP service, which a test can make fail for that machine alone."""

from __future__ import annotations

import http.client
import http.server
import socket
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

TARGET_SECONDS = 120


@dataclass(frozen=True)
class Request:
    """What the machine asked for."""

    method: str
    path: str
    headers: Mapping[str, str]


@dataclass(frozen=True)
class Answer:
    """What the machine hears instead of the service's own answer."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


Fault = Callable[[Request], Answer | None]


class Gateway:
    """Passes HTTP requests from a listening socket on to `target`, a host and a port.

    `fault`, when set, is asked first; what it answers goes to the machine in place of the service's own answer, and
    it may also just take its time. `requests` are those that came, in order.
    """

    def __init__(self, listener: socket.socket, target: tuple[str, int]) -> None:
        self.fault: Fault | None = None
        self.requests: list[Request] = []
        self._server = _Server(listener, self, target)
        threading.Thread(target=self._server.serve_forever, args=(0.1,), daemon=True).start()

    def stop(self) -> None:
        """Stops serving and gives the address back; safe to call twice."""
        self._server.shutdown()
        self._server.server_close()


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, listener: socket.socket, gateway: Gateway, target: tuple[str, int]) -> None:
        host, port = listener.getsockname()
        super().__init__((host, port), _Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listener
        self.gateway = gateway
        self.target = target

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Says nothing: a machine that loses its power leaves its connections."""


class _Handler(http.server.BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    timeout = TARGET_SECONDS

    def handle_one_request(self) -> None:
        self.raw_requestline = self.rfile.readline(65537)
        if not self.raw_requestline or not self.parse_request():
            self.close_connection = True
            return
        gateway = self.server.gateway
        request = Request(self.command, self.path, dict(self.headers.items()))
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        gateway.requests.append(request)
        answer = gateway.fault(request) if gateway.fault else None
        self._send(answer or self._ask(request, body))

    def _ask(self, request: Request, body: bytes) -> Answer:
        connection = http.client.HTTPConnection(*self.server.target, timeout=TARGET_SECONDS)
        try:
            connection.putrequest(request.method, request.path, skip_host=True, skip_accept_encoding=True)
            for name, value in request.headers.items():
                if name.lower() not in ("connection", "expect"):
                    connection.putheader(name, value)
            connection.endheaders(body)
            response = connection.getresponse()
            return Answer(response.status, response.read(), dict(response.getheaders()))
        finally:
            connection.close()

    def _send(self, answer: Answer) -> None:
        self.send_response_only(answer.status)
        given = {name.lower() for name in answer.headers}
        for name, value in answer.headers.items():
            if name.lower() not in ("connection", "transfer-encoding"):
                self.send_header(name, value)
        if "content-length" not in given and answer.status not in (204, 304):
            self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)
        self.wfile.flush()

    def log_message(self, format: str, *args: Any) -> None:  # the base class's name
        """Says nothing; `requests` tells."""
