"""How a server of files may behave; see `Hub.manner`."""

from __future__ import annotations

from collections.abc import Callable

from tests.machine.site.hub import LOGIN_PAGE, Handler

Manner = Callable[[Handler, bytes], bool]


def well(handler: Handler, content: bytes) -> bool:
    return False


def login_page(handler: Handler, content: bytes) -> bool:
    handler.answer(200, LOGIN_PAGE, {"Content-Type": "text/html"})
    return True


def refuses(handler: Handler, content: bytes) -> bool:
    handler.answer(403, b"Access to this model is restricted.")
    return True


def cut_off(handler: Handler, content: bytes) -> bool:
    """The file ends early, and the answer says that this is all of it."""
    handler.answer(200, content[:-1000], {"Content-Type": "application/octet-stream"})
    return True


def other_bytes(handler: Handler, content: bytes) -> bool:
    handler.send_content(content[::-1])
    return True


def breaks_twice() -> Manner:
    times = iter(range(2))

    def manner(handler: Handler, content: bytes) -> bool:
        if next(times, None) is None:
            return False
        handler.send_content(content, stop_after=len(content) // 4)
        return True

    return manner


def busy_twice() -> Manner:
    times = iter(range(2))

    def manner(handler: Handler, content: bytes) -> bool:
        if next(times, None) is None:
            return False
        handler.answer(503, b"", {"Retry-After": "1"})
        return True

    return manner


class StallsOnce:
    """Sends 1,000 bytes of one answer and no more; `span` is the range that was asked for then."""

    def __init__(self) -> None:
        self.span: str | None = None
        self._times = iter(range(1))

    def __call__(self, handler: Handler, content: bytes) -> bool:
        if next(self._times, None) is None:
            return False
        self.span = handler.headers.get("Range")
        handler.send_content(content, stop_after=1000)
        handler.rfile.read(1)  # returns when the machine is gone
        return True
