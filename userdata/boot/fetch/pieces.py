"""Fetches a large file in several ranges at a time, and goes on with the ranges that are missing.

A range is written where it belongs in `<name>.part`, and noted in `<name>.part.pieces` once it is whole. The ranges are
hashed in their order as they come, from the disk's cache: when the last has come, little is left to hash. A power cut
may lose bytes that the notes name, since nothing waits for the disk; the hash of the whole finds that.
"""

from __future__ import annotations

import collections
import hashlib
import os
import queue
import re
import threading
from pathlib import Path
from typing import Deque, Dict, Optional, Set, Union

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
from userdata.boot.machine.file_hash import CHUNK_BYTES
from userdata.boot.machine.side_by_side import begin
from userdata.boot.machine.step_error import StepError
from userdata.contract.atomic_file import write_atomically

# Large enough that the threads, which share one interpreter, spend their time in the system's calls.
BUFFER_BYTES = 256 << 10
LOOK_SECONDS = 1


class RangesRefusedError(Exception):
    """The server sends the whole file, whatever part of it is asked for."""


class Pieces:
    """One download of `whole` bytes into `part`."""

    def __init__(self, pinned: Pinned, whole: int, part: Path, manner: Manner) -> None:
        self._pinned = pinned
        self._whole = whole
        self._part = part
        self._manner = manner
        self._notes = part.with_name(part.name + ".pieces")
        self._title = f"{pinned.sha256} {manner.piece_bytes}"
        self._done = self._read_notes()
        # By a piece's first byte: how many bytes of it are here.
        self._received: Dict[int, int] = {first: self._size(first) for first in self._done}
        self._waiting: Deque[int] = collections.deque(
            first for first in range(0, whole, manner.piece_bytes) if first not in self._done
        )
        self._reports: queue.Queue[Union[int, BaseException]] = queue.Queue()
        self._over = threading.Event()

    def kept(self) -> int:
        """How many bytes need not be fetched.

        By what has come, and not by the notes, which may be written a moment later than another piece breaks.
        """
        return sum(count for first, count in list(self._received.items()) if count == self._size(first))

    def run(self) -> str:
        """Completes the part and returns its SHA-256, in hexadecimal.

        Raises `StepError`, or `RangesRefusedError` with nothing left on the disk.
        """
        self._part.touch()
        write_atomically(self._notes, "".join(f"{line}\n" for line in [self._title, *sorted(self._done)]).encode())
        descriptor = os.open(self._part, os.O_RDWR)
        try:
            for _ in range(min(self._manner.connections, len(self._waiting))):
                copy = os.dup(descriptor)  # to be closed by the thread, which may end later than this
                begin(lambda copy=copy: self._work(copy))  # type: ignore[misc]
            return self._collect(descriptor)
        except BaseException as error:
            if isinstance(error, RangesRefusedError) or not self._done:
                # Connections that still bring something write to a file that nobody sees any more.
                self._part.unlink(missing_ok=True)
                self._notes.unlink(missing_ok=True)
            raise
        finally:
            self._over.set()
            os.close(descriptor)

    def _collect(self, descriptor: int) -> str:
        """Notes the pieces as they come and hashes them in their order; raises what a connection could not mend."""
        progress = Progress(self._part.stem, self._whole, self.kept(), self._manner.clock)
        digest, hashed = hashlib.sha256(), 0
        while True:
            while hashed in self._done:
                end = hashed + self._size(hashed)
                while hashed < end:
                    chunk = os.pread(descriptor, min(CHUNK_BYTES, end - hashed), hashed)
                    if not chunk:
                        raise StepError(f"{self._part} became shorter while it was fetched. Start the instance again.")
                    digest.update(chunk)
                    hashed += len(chunk)
            if hashed == self._whole:
                self._notes.unlink()
                return digest.hexdigest()
            progress.show(sum(list(self._received.values())))
            try:
                report = self._reports.get(timeout=LOOK_SECONDS)
            except queue.Empty:
                continue
            if isinstance(report, BaseException):
                raise report
            self._done.add(report)
            with self._notes.open("a", encoding="ascii") as file:
                file.write(f"{report}\n")

    def _work(self, descriptor: int) -> None:
        """Fetches one piece after another until none waits."""
        try:
            while (first := self._next()) is not None:
                self._received[first] = 0
                persist(
                    lambda first=first: self._fetch(first, descriptor),  # type: ignore[misc]
                    self._pinned,
                    self._manner,
                    progress=lambda first=first: self._received[first],  # type: ignore[misc]
                    kept=self.kept,
                )
                self._reports.put(first)
        except NoSuchRangeError as error:
            self._reports.put(StepError(f"{error}, but {self._whole:,} bytes are pinned: it is another file."))
        except BaseException as error:  # noqa: BLE001  # raised again where it is waited for
            self._reports.put(error)
        finally:
            os.close(descriptor)

    def _next(self) -> Optional[int]:
        try:
            return None if self._over.is_set() else self._waiting.popleft()
        except IndexError:
            return None

    def _fetch(self, first: int, descriptor: int) -> None:
        """Fetches what is missing of a piece."""
        url, end, buffer = self._pinned.url, first + self._size(first), memoryview(bytearray(BUFFER_BYTES))
        position = first + self._received[first]
        with answer_to(self._pinned, self._part, self._manner, f"bytes={position}-{end - 1}") as answer:
            if answer.status != 206:
                check_total(self._pinned, length_in(answer.headers) or self._whole)
                raise RangesRefusedError(url)
            span = CONTENT_RANGE.fullmatch(answer.headers.get("Content-Range", ""))
            if not span or int(span[1]) != position:
                raise PassingError(f"{url} sent another range than asked for")
            check_total(self._pinned, None if span[2] == "*" else int(span[2]))
            while position < end and not self._over.is_set():
                count = answer.readinto(buffer[: end - position])
                if not count:
                    raise PassingError(f"{url}: the connection ended early")
                written = os.pwrite(descriptor, buffer[:count], position)
                position += written
                self._received[first] = position - first

    def _size(self, first: int) -> int:
        return min(self._manner.piece_bytes, self._whole - first)

    def _read_notes(self) -> Set[int]:
        """The pieces that are on the disk, by their first bytes."""
        if not self._part.exists():
            return set()
        size, step = self._part.stat().st_size, self._manner.piece_bytes
        fitting = {first for first in range(0, self._whole, step) if first + self._size(first) <= size}
        try:
            title, *lines = self._notes.read_text("ascii").rpartition("\n")[0].split("\n")
        except FileNotFoundError:
            return fitting  # a download over one connection has no gaps
        except ValueError:
            return set()
        noted = {int(line) for line in lines if re.fullmatch(r"[0-9]{1,16}", line)}
        return fitting & noted if title == self._title else set()
