"""Fetches a file over one connection, and goes on where an earlier one ended."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, Optional

from userdata.boot.fetch.passing_error import PassingError
from userdata.boot.fetch.progress import Progress
from userdata.boot.fetch.request import (
    CONTENT_RANGE,
    Manner,
    NoSuchRangeError,
    Pinned,
    answer_to,
    check_total,
    length_in,
    persist,
)
from userdata.boot.machine.disk_space import amount
from userdata.boot.machine.file_hash import CHUNK_BYTES, sha256_of


class Stream:
    """One download into `part`, whose size is how far it has come."""

    def __init__(self, pinned: Pinned, part: Path, manner: Manner) -> None:
        self._pinned = pinned
        self._part = part
        self._manner = manner
        # What was written, as far as it was written without a gap. Reading a file again takes seconds, and 9 s for 4 GB
        # on processors without instructions for it (those of g4dn).
        self._digest = hashlib.sha256()
        self._digested = 0

    def kept(self) -> int:
        """How many bytes need not be fetched."""
        return self._part.stat().st_size if self._part.exists() else 0

    def run(self) -> str:
        """Completes the part and returns its SHA-256, in hexadecimal. Raises `StepError`."""
        persist(self._fetch_rest, self._pinned, self._manner, progress=self.kept, kept=self.kept)
        return self._digest.hexdigest() if self._digested == self.kept() else sha256_of(self._part)

    def _fetch_rest(self) -> None:
        offset, whole = self.kept(), self._pinned.bytes
        if whole is not None:
            if offset == whole:
                return
            if offset > whole:
                self._part.unlink()
                offset = 0
        try:
            with answer_to(self._pinned, self._part, self._manner, f"bytes={offset}-" if offset else None) as answer:
                self._receive(answer, offset)
        except NoSuchRangeError:
            # Nothing is left to fetch, or the part belongs to another file; without a pinned size the hash tells.
            if whole is None and offset and sha256_of(self._part) == self._pinned.sha256:
                return
            self._part.unlink(missing_ok=True)
            raise PassingError(f"{self._pinned.url} has no byte {offset}: starting over") from None

    def _receive(self, answer: Any, offset: int) -> None:
        coming = length_in(answer.headers)
        offset, total = self._place(answer, offset, coming)
        self._check_total(total)
        received = self._write(answer, offset)
        if coming is not None and received < coming:
            raise PassingError(f"{self._pinned.url}: the connection ended {amount(coming - received)} early")
        size = self.kept()
        if self._pinned.bytes is not None and size < self._pinned.bytes:
            raise PassingError(f"{self._pinned.url}: the answer ended after {amount(size)}")
        self._check_total(size)

    def _place(self, answer: Any, offset: int, coming: Optional[int]) -> tuple[int, Optional[int]]:
        """Where the answer's first byte belongs, and the whole file's size as far as the server tells."""
        if answer.status != 206:
            return 0, coming
        span = CONTENT_RANGE.fullmatch(answer.headers.get("Content-Range", ""))
        if not span or int(span[1]) != offset:
            self._part.unlink()
            raise PassingError(f"{self._pinned.url} sent another range than asked for: starting over")
        return offset, None if span[2] == "*" else int(span[2])

    def _check_total(self, total: Optional[int]) -> None:
        if total is not None and self._pinned.bytes not in (None, total):
            self._part.unlink(missing_ok=True)
        check_total(self._pinned, total)

    def _write(self, answer: Any, offset: int) -> int:
        received = 0
        progress = Progress(self._part.stem, self._pinned.bytes, offset, self._manner.clock)
        if offset == 0:
            self._digest, self._digested = hashlib.sha256(), 0
        with self._part.open("r+b" if offset else "wb") as file:
            file.seek(offset)
            while chunk := answer.read1(CHUNK_BYTES):
                file.write(chunk)
                if self._digested == offset + received:
                    self._digest.update(chunk)
                    self._digested += len(chunk)
                received += len(chunk)
                progress.show(offset + received)
        return received
