"""Who may ask the studio anything: this person's browser, and nobody else's page.

Any page in any browser tab may send requests to 127.0.0.1, and this page spends money. So each request must name this
server as its host (a foreign name that points at 127.0.0.1 does not), bring the token of this start, and, where it
changes something, come from a page of this server.
"""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from userdata.contract.outside import read_whole

# A PNG of 2048 x 2048 pixels takes 12 MB where it packs worst.
MOST_BYTES = 64 * 1024 * 1024
READS = ("GET", "HEAD")
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' blob: data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


@dataclass(frozen=True)
class Keys:
    """What a person of this start knows: the token in the printed link and in the header, and the cookie's own value.

    `once` are tokens of links that were given to a browser's command line, which every user of the machine can read.
    """

    port: int
    token: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    cookie: str = field(default_factory=lambda: secrets.token_urlsafe(32))

    once: set[str] = field(default_factory=set)

    @property
    def hosts(self) -> tuple[str, ...]:
        """The names of this server."""
        return (f"127.0.0.1:{self.port}", f"localhost:{self.port}")

    @property
    def cookie_name(self) -> str:
        """Browsers keep cookies by host and not by port, so that two studios would take each other's away."""
        return f"sd-studio-{self.port}"

    @property
    def link(self) -> str:
        """The first link. The token leaves the address bar with the redirection that follows."""
        return f"http://{self.hosts[0]}/?token={self.token}"

    def link_for_once(self) -> str:
        """Another first link, which nobody can follow a second time."""
        token = secrets.token_urlsafe(32)
        self.once.add(token)
        return f"http://{self.hosts[0]}/?token={token}"

    def lets_in(self, token: str) -> bool:
        """Whether a first link has that token."""
        used = {one for one in self.once if _same(token, one)}
        self.once.difference_update(used)
        return bool(used) or _same(token, self.token)


class Guard:
    """An ASGI application around another one, which only sees requests of this person."""

    def __init__(self, app: ASGIApp, keys: Keys) -> None:
        self.app = app
        self.keys = keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuses, lets in, or passes on; the headers that close the page are on every answer."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_closed(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
            await send(message)

        headers = Headers(scope=scope)
        answer = self._refusal(scope, headers) or self._entrance(scope)
        if answer is None and not self._knows(headers):
            answer = PlainTextResponse(
                "This page belongs to the person who started it. Open the link that `sd studio` has printed.\n", 403
            )
        await (answer or self.app)(scope, receive, send_closed)

    def _refusal(self, scope: Scope, headers: Headers) -> PlainTextResponse | None:
        if headers.get("host", "") not in self.keys.hosts:
            return PlainTextResponse(f"The studio answers at http://{self.keys.hosts[0]} only.\n", 421)
        try:
            read_whole(headers.get("content-length", "0"), most=MOST_BYTES)
        except ValueError:
            return PlainTextResponse(f"A file may have {MOST_BYTES:,} bytes.\n", 413)
        if scope["method"] in READS:
            return None
        if "transfer-encoding" in headers:
            return PlainTextResponse("Say how long the content is.\n", 411)
        origin = headers.get("origin")
        own = origin is not None and origin.removeprefix("http://") == headers["host"]
        if not (own or (origin is None and self._has_token(headers))):
            return PlainTextResponse("Another page has sent this, and nothing was done.\n", 403)
        return None

    def _entrance(self, scope: Scope) -> RedirectResponse | None:
        """Changes the token of the first link into the cookie."""
        (given,) = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[:1]
        if scope["path"] != "/" or not self.keys.lets_in(given):
            return None
        answer = RedirectResponse("/", 303)
        answer.set_cookie(self.keys.cookie_name, self.keys.cookie, httponly=True, samesite="strict")
        return answer

    def _knows(self, headers: Headers) -> bool:
        try:
            cookies = SimpleCookie(headers.get("cookie", ""))
        except CookieError:
            return False
        kept = cookies.get(self.keys.cookie_name)
        return self._has_token(headers) or (kept is not None and _same(kept.value, self.keys.cookie))

    def _has_token(self, headers: Headers) -> bool:
        return _same(headers.get("authorization", "").removeprefix("Bearer "), self.keys.token)


def _same(given: str, ours: str) -> bool:
    return hmac.compare_digest(given.encode(), ours.encode())
