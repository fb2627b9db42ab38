"""Fetches one large file so that no byte is fetched twice and no wrong byte is kept."""

from __future__ import annotations

import errno
import hashlib
import http.client
import logging
import re
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from email.message import Message
from pathlib import Path
from typing import IO, Any, Callable, Dict, Optional
from urllib.parse import urlsplit

from userdata.boot.fetch.passing_error import PassingError, asked_pause, code_passes
from userdata.boot.machine.disk_space import amount, check_space
from userdata.boot.machine.file_hash import CHUNK_BYTES, sha256_of
from userdata.boot.machine.step_error import StepError
from userdata.contract.atomic_file import put_in_place
from userdata.contract.patience import Patience

logger = logging.getLogger(__name__)
STALL_SECONDS = 60
PROGRESS_SECONDS = 10
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
    """How to fetch. Times are in seconds; `margin_bytes` must stay free on the disk. Tests choose smaller ones."""

    # Five minutes in all, because the hub counts requests in windows of that length.
    patience: Patience = field(default_factory=lambda: Patience(attempts=10, first_pause=2))
    stall_seconds: float = STALL_SECONDS
    margin_bytes: int = MARGIN_BYTES
    clock: Callable[[], float] = time.monotonic


def download(pinned: Pinned, destination: Path, manner: Optional[Manner] = None) -> None:
    """Makes sure that `destination` is the pinned file.

    What an earlier attempt or boot left in `<name>.part` is completed with a range request. The finished file is
    renamed into place, with its hash in `<name>.sha256` beside it: with that stamp and the right size it is not
    hashed again. A file that turns out wrong is removed and fetched once more.

    Raises `StepError`, for a person, when the file cannot be had.
    """
    _Download(pinned, destination, manner or Manner()).run()


def part_of(destination: Path) -> Path:
    """The file in which a download of `destination` collects its bytes."""
    return destination.with_name(destination.name + ".part")


def write_stamp(destination: Path, sha256: str) -> None:
    """Vouches for a finished file: `download` does not hash it again."""
    _stamp_of(destination).write_text(sha256 + "\n", "ascii")


def _stamp_of(destination: Path) -> Path:
    return destination.with_name(destination.name + ".sha256")


class _Download:
    def __init__(self, pinned: Pinned, destination: Path, manner: Manner) -> None:
        self.pinned = pinned
        self.destination = destination
        self.manner = manner
        self.part = part_of(destination)
        self.stamp = _stamp_of(destination)
        self.opener = urllib.request.build_opener(Redirects)
        # What was written, as far as it was written without a gap. Reading a file again takes seconds, and 9 s for 4 GB
        # on processors without instructions for it (those of g4dn).
        self.digest = hashlib.sha256()
        self.digested = 0

    def run(self) -> None:
        self.destination.parent.mkdir(parents=True, exist_ok=True)
        if self._is_there():
            logger.info("%s is already there", self.destination)
            return
        missing = max(0, (self.pinned.bytes or 0) - self._size())
        check_space(self.destination, missing + self.manner.margin_bytes)
        for last in (False, True):
            self._fetch_whole()
            found = self.digest.hexdigest() if self.digested == self._size() else sha256_of(self.part)
            if found == self.pinned.sha256:
                break
            self.part.unlink()
            message = f"{self.pinned.url} has the SHA-256 {found}, but {self.pinned.sha256} is pinned"
            if last:
                raise StepError(
                    f"{message}, twice. The file was changed at its source or on its way: do not use it. "
                    "Check SD_WEIGHTS_URL or SD_MINIFORGE_URL if a mirror is set, then start the instance again."
                )
            logger.warning("%s; fetching it once more", message)
        self.stamp.unlink(missing_ok=True)
        put_in_place(self.part, self.destination)
        write_stamp(self.destination, self.pinned.sha256)

    def _is_there(self) -> bool:
        if not self.destination.exists():
            return False
        right_size = self.pinned.bytes is None or self.destination.stat().st_size == self.pinned.bytes
        stamped = self.stamp.exists() and self.stamp.read_text("ascii").strip() == self.pinned.sha256
        if right_size and (stamped or sha256_of(self.destination) == self.pinned.sha256):
            write_stamp(self.destination, self.pinned.sha256)
            return True
        logger.warning("%s is not the pinned file: removing it", self.destination)
        self.destination.unlink()
        return False

    def _size(self) -> int:
        return self.part.stat().st_size if self.part.exists() else 0

    def _fetch_whole(self) -> None:
        """Fetches until the part is complete. Only attempts without progress count, so that every loop ends."""
        pauses = self.manner.patience.pauses()
        furthest = self._size()
        while True:
            try:
                self._fetch_rest()
                return
            except PassingError as error:
                if self._size() > furthest:
                    furthest = self._size()
                    pauses = self.manner.patience.pauses()
                pause = next(pauses, None)
                if pause is None:
                    raise StepError(
                        f"{self.pinned.url} could not be fetched: {error}. Check the network and the address, then "
                        f"start the instance again: it goes on at {amount(furthest)}."
                    ) from error
                pause = max(pause, min(error.after_seconds or 0, LONGEST_RETRY_AFTER_SECONDS))
                logger.warning("%s; trying again in %g s", error, pause)
                self.manner.patience.sleep(pause)

    def _fetch_rest(self) -> None:
        offset = self._size()
        if self.pinned.bytes is not None:
            if offset == self.pinned.bytes:
                return
            if offset > self.pinned.bytes:
                self.part.unlink()
                offset = 0
        # identity: a compressed answer would make every size and range mean something else.
        headers = {**request_headers(self.pinned.token), "Accept-Encoding": "identity"}
        if offset:
            headers["Range"] = f"bytes={offset}-"
        try:
            request = urllib.request.Request(self.pinned.url, headers=headers)  # noqa: S310  # pinned by hash
            with self.opener.open(request, timeout=self.manner.stall_seconds) as response:
                self._receive(response, offset)
        except urllib.error.HTTPError as error:
            with error:
                self._judge_refusal(error, offset)
        except (OSError, http.client.HTTPException) as error:
            if getattr(error, "errno", None) == errno.ENOSPC:
                raise StepError(f"{self.part.parent} is full. Deploy again with a larger VolumeSize.") from error
            reason = getattr(error, "reason", None) or error
            raise PassingError(f"{self.pinned.url}: {reason or type(error).__name__}") from error

    def _judge_refusal(self, error: urllib.error.HTTPError, offset: int) -> None:
        url, code = self.pinned.url, error.code
        if code == 416 and offset:
            # Nothing is left to fetch, or the part belongs to another file; without a pinned size the hash tells.
            if self.pinned.bytes is None and sha256_of(self.part) == self.pinned.sha256:
                return
            self.part.unlink()
            raise PassingError(f"{url} has no byte {offset}: starting over")
        if code in (401, 403):
            raise StepError(refused(url, code, page=self.pinned.page, token=self.pinned.token))
        if code_passes(code):
            raise PassingError(f"{url} answered {code}", asked_pause(error.headers))
        raise StepError(
            f"{url} answered {code} ({error.reason}): the file is not there. Check the address in "
            "userdata/models.json, or SD_WEIGHTS_URL or SD_MINIFORGE_URL if a mirror is set."
        )

    def _receive(self, response: Any, offset: int) -> None:
        content_type = str(response.headers.get_content_type())
        if content_type == "text/html":
            raise StepError(
                f"{self.pinned.url} answered with a web page, which is a login page or a notice, not the file. Open "
                f"{self.pinned.page or self.pinned.url} in a browser to see what it asks for."
            )
        length = response.headers.get("Content-Length")
        coming = int(length) if length and length.isdigit() else None
        offset, total = self._place(response, offset, coming)
        self._check_total(total)
        received = self._write(response, offset)
        if coming is not None and received < coming:
            raise PassingError(f"{self.pinned.url}: the connection ended {amount(coming - received)} early")
        size = self._size()
        if self.pinned.bytes is not None and size < self.pinned.bytes:
            raise PassingError(f"{self.pinned.url}: the answer ended after {amount(size)}")
        self._check_total(size)

    def _place(self, response: Any, offset: int, coming: Optional[int]) -> tuple[int, Optional[int]]:
        """Where the answer's first byte belongs, and the whole file's size as far as the server tells."""
        if response.status != 206:
            return 0, coming
        span = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", ""))
        if not span or int(span[1]) != offset:
            self.part.unlink()
            raise PassingError(f"{self.pinned.url} sent another range than asked for: starting over")
        return offset, None if span[2] == "*" else int(span[2])

    def _check_total(self, total: Optional[int]) -> None:
        if self.pinned.bytes is None or total is None or total == self.pinned.bytes:
            return
        self.part.unlink(missing_ok=True)
        kind = "a login page or a pointer file, not the file itself" if total < POINTER_BYTES else "another file"
        raise StepError(
            f"{self.pinned.url} is {total:,} bytes, but {self.pinned.bytes:,} are pinned: it is {kind}. Open "
            f"{self.pinned.page or self.pinned.url} in a browser to see what changed."
        )

    def _write(self, response: Any, offset: int) -> int:
        received = 0
        started = shown = self.manner.clock()
        if offset == 0:
            self.digest, self.digested = hashlib.sha256(), 0
        with self.part.open("r+b" if offset else "wb") as file:
            file.seek(offset)
            while chunk := response.read1(CHUNK_BYTES):
                file.write(chunk)
                if self.digested == offset + received:
                    self.digest.update(chunk)
                    self.digested += len(chunk)
                received += len(chunk)
                now = self.manner.clock()
                if now - shown >= PROGRESS_SECONDS:
                    shown = now
                    have, whole = offset + received, self.pinned.bytes
                    share = f" of {amount(whole)} ({100 * have // whole}%)" if whole else ""
                    speed = amount(received / (now - started))
                    logger.info("%s: %s%s, %s/s", self.destination.name, amount(have), share, speed)
        return received


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
    """

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Message, newurl: str
    ) -> Optional[urllib.request.Request]:
        """The next request, without the secret where it goes to another host."""
        following = super().redirect_request(req, fp, code, msg, headers, newurl)  # type: ignore[arg-type]
        if following and urlsplit(newurl).netloc != urlsplit(req.full_url).netloc:
            following.remove_header("Authorization")
        return following

    def http_error_308(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Message
    ) -> Optional[Any]:
        """Follows a 308 as a 307."""
        return self.http_error_302(req, fp, 307, msg, headers)  # type: ignore[arg-type]  # typeshed: HTTPMessage
