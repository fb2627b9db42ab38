"""Asks a server for a file or a range of it, and says in words what it refuses."""

from __future__ import annotations

import contextlib
import errno
import http.client
import logging
import re
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from email.message import Message
from pathlib import Path
from typing import IO, Any, Callable, Dict, Iterator, Optional
from urllib.parse import urlsplit

from userdata.boot.fetch.passing_error import PassingError, asked_pause, code_passes
from userdata.boot.machine.disk_space import amount
from userdata.boot.machine.step_error import NoRoomError, PassingStepError, StepError
from userdata.contract.outside import read_whole
from userdata.contract.patience import Patience

logger = logging.getLogger(__name__)
STALL_SECONDS = 60
LONGEST_RETRY_AFTER_SECONDS = 300
MARGIN_BYTES = 2 << 30
POINTER_BYTES = 1 << 20


@dataclass(frozen=True)
class Pinned:
    """A file that is known before it is fetched: its SHA-256 in hexadecimal and, where known, its size in bytes.

    `page` is where a person gets access to it, for files that may ask for that, and `token` what shows that somebody
    has it: a secret, which reaches the host of `url` and no other.
    """

    url: str
    sha256: str
    bytes: Optional[int] = None
    page: Optional[str] = None
    token: Optional[str] = field(default=None, repr=False)


@dataclass(frozen=True)
class Manner:
    """How to fetch. Times are in seconds; `margin_bytes` must stay free on the disk. Tests choose smaller ones.

    A file of `ranges_from` bytes or more comes in ranges of `piece_bytes`, over as many `connections` at a time. One
    connection to the hub's storage brings 40 to 60 MB/s, by others' measurements; eight reach what a disk can write.
    """

    # Five minutes in all, because the hub counts requests in windows of that length.
    patience: Patience = field(default_factory=lambda: Patience(attempts=10, first_pause=2))
    stall_seconds: float = STALL_SECONDS
    margin_bytes: int = MARGIN_BYTES
    clock: Callable[[], float] = time.monotonic
    ranges_from: int = 200 << 20
    piece_bytes: int = 64 << 20
    connections: int = 8


def open_following(request: urllib.request.Request, *, seconds: float) -> Any:
    """The answer, at the end of all redirects. Raises as urllib does, and `StepError` for an address that is none."""
    try:
        return urllib.request.build_opener(Redirects).open(request, timeout=seconds)
    except ValueError as error:
        raise StepError(
            f"{request.full_url} leads to an address that is none ({error}). Choose another one."
        ) from error


def length_in(headers: Message) -> Optional[int]:
    """The length that the server tells, in bytes; None where it tells none, or nothing like one."""
    try:
        return read_whole(headers.get("Content-Length"))
    except ValueError:
        return None


# The header of an answer with a part of a file: where it begins, and the whole file's size or a star.
CONTENT_RANGE = re.compile(r"bytes ([0-9]{1,16})-[0-9]{1,16}/([0-9]{1,16}|\*)")


class NoSuchRangeError(Exception):
    """The file is shorter than the range that was asked for."""


@contextlib.contextmanager
def answer_to(pinned: Pinned, part: Path, manner: Manner, span: Optional[str]) -> Iterator[Any]:
    """The server's answer to a request for `span` of the file, as the header Range says it; None asks for all of it.

    What goes wrong, also while the answer is read and written to `part`, is raised as `PassingError` when it passes,
    else as `StepError`.
    """
    # identity: a compressed answer would make every size and range mean something else.
    headers = {**request_headers(pinned.token), "Accept-Encoding": "identity", **({"Range": span} if span else {})}
    try:
        request = urllib.request.Request(pinned.url, headers=headers)  # noqa: S310  # pinned by hash
        with open_following(request, seconds=manner.stall_seconds) as response:
            _check_kind(pinned, response)
            yield response
    except urllib.error.HTTPError as error:
        with error:
            raise _judged(pinned, error) from error
    except (OSError, http.client.HTTPException) as error:
        if getattr(error, "errno", None) == errno.ENOSPC:
            raise NoRoomError(f"{part.parent} is full. Deploy again with a larger VolumeSize.") from error
        reason = getattr(error, "reason", None) or error
        raise PassingError(f"{pinned.url}: {reason or type(error).__name__}") from error


def persist(
    attempt: Callable[[], None],
    pinned: Pinned,
    manner: Manner,
    *,
    progress: Callable[[], int],
    kept: Callable[[], int],
) -> None:
    """Repeats `attempt` until it ends well. Only attempts without `progress` count, so that every loop ends.

    `kept` says how many bytes a later boot need not fetch. Raises `PassingStepError` when patience ends.
    """
    pauses = manner.patience.pauses()
    furthest = progress()
    while True:
        try:
            return attempt()
        except PassingError as error:
            if progress() > furthest:
                furthest = progress()
                pauses = manner.patience.pauses()
            pause = next(pauses, None)
            if pause is None:
                raise PassingStepError(
                    f"{pinned.url} could not be fetched: {error}. Check the network and the address, then start the "
                    f"instance again: it goes on at {amount(kept())}."
                ) from error
            pause = max(pause, min(error.after_seconds or 0, LONGEST_RETRY_AFTER_SECONDS))
            logger.warning("%s; trying again in %g s", error, pause)
            manner.patience.sleep(pause)


def check_total(pinned: Pinned, total: Optional[int]) -> None:
    """Raises `StepError` when the server's file is not as large as the pinned one."""
    if pinned.bytes is None or total is None or total == pinned.bytes:
        return
    kind = "a login page or a pointer file, not the file itself" if total < POINTER_BYTES else "another file"
    raise StepError(
        f"{pinned.url} is {total:,} bytes, but {pinned.bytes:,} are pinned: it is {kind}. Open "
        f"{pinned.page or pinned.url} in a browser to see what changed."
    )


def request_headers(token: Optional[str]) -> Dict[str, str]:
    """The headers of every request, with the right that `token` gives."""
    return {"User-Agent": "sd-on-ec2", **({"Authorization": f"Bearer {token}"} if token else {})}


def refused(url: str, code: int, *, page: Optional[str], token: Optional[str]) -> str:
    """What to do about an answer of 401 or 403. The hub also gives that answer for a repository that does not exist."""
    account = (
        "with the account of HubToken's token" if token else "and give the name of that account's token as HubToken"
    )
    return (
        f"{url} was refused ({code}): the file is behind an agreement or a login, or there is none of that name. Open "
        f"{page or url}, accept the licence there if it asks for that, {account}, or choose another Model."
    )


class Redirects(urllib.request.HTTPRedirectHandler):
    """Follows 308 too, which Python knows only since 3.11, and keeps a secret from other hosts.

    The hub sends everybody to the addresses of its storage, which are signed: they need no token, and must not get it.
    From an encrypted address it follows to encrypted ones alone, because everybody on the way reads the others.
    """

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Message, newurl: str
    ) -> Optional[urllib.request.Request]:
        """The next request, without the secret where it goes to another host."""
        following = super().redirect_request(req, fp, code, msg, headers, newurl)  # type: ignore[arg-type]
        old, new = urlsplit(req.full_url), urlsplit(newurl)
        if old.scheme == "https" and new.scheme != "https":
            raise urllib.error.HTTPError(req.full_url, code, f"it leads to {newurl}, without encryption", headers, fp)
        if following and (new.scheme, new.netloc) != (old.scheme, old.netloc):
            following.remove_header("Authorization")
        return following

    def http_error_308(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Message
    ) -> Optional[Any]:
        """Follows a 308 as a 307."""
        return self.http_error_302(req, fp, 307, msg, headers)  # type: ignore[arg-type]  # typeshed: HTTPMessage


def _check_kind(pinned: Pinned, response: Any) -> None:
    if str(response.headers.get_content_type()) == "text/html":
        raise StepError(
            f"{pinned.url} answered with a web page, which is a login page or a notice, not the file. Open "
            f"{pinned.page or pinned.url} in a browser to see what it asks for."
        )


def _judged(pinned: Pinned, error: urllib.error.HTTPError) -> Exception:
    url, code = pinned.url, error.code
    if code == 416:
        return NoSuchRangeError(f"{url} has no such range")
    if code in (401, 403):
        return StepError(refused(url, code, page=pinned.page, token=pinned.token))
    if code_passes(code):
        return PassingError(f"{url} answered {code}", asked_pause(error.headers))
    return StepError(
        f"{url} answered {code} ({error.reason}): the file is not there. Check the address in userdata/models.json, or "
        "SD_WEIGHTS_URL or SD_MINIFORGE_URL if a mirror is set."
    )
