"""Fetches one large file so that no byte is fetched twice and no wrong byte is kept."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Optional

from userdata.boot.fetch.pieces import Pieces, RangesRefusedError
from userdata.boot.fetch.request import Manner, Pinned
from userdata.boot.fetch.stream import Stream
from userdata.boot.machine.disk_space import check_space
from userdata.boot.machine.file_hash import sha256_of
from userdata.boot.machine.step_error import StepError
from userdata.contract.atomic_file import put_in_place

logger = logging.getLogger(__name__)


def download(pinned: Pinned, destination: Path, manner: Optional[Manner] = None) -> None:
    """Makes sure that `destination` is the pinned file.

    What an earlier attempt or boot left in `<name>.part` is completed; a large file comes in several ranges at a time.
    The finished file is renamed into place, with its hash in `<name>.sha256` beside it: with that stamp and the right
    size it is not hashed again. A file that turns out wrong is removed and fetched once more.

    Raises `StepError`, for a person, when the file cannot be had.
    """
    manner = manner or Manner()
    destination.parent.mkdir(parents=True, exist_ok=True)
    if _is_there(pinned, destination):
        logger.info("%s is already there", destination)
        return
    part = part_of(destination)
    for last in (False, True):
        found = _fetch(pinned, part, manner)
        if found == pinned.sha256:
            break
        part.unlink(missing_ok=True)  # of no bytes nothing was written
        message = f"{pinned.url} has the SHA-256 {found}, but {pinned.sha256} is pinned"
        if last:
            raise StepError(
                f"{message}, twice. The file was changed at its source or on its way: do not use it. "
                "Check SD_WEIGHTS_URL or SD_MINIFORGE_URL if a mirror is set, then start the instance again."
            )
        logger.warning("%s; fetching it once more", message)
    _stamp_of(destination).unlink(missing_ok=True)
    put_in_place(part, destination)
    write_stamp(destination, pinned.sha256)


def part_of(destination: Path) -> Path:
    """The file in which a download of `destination` collects its bytes."""
    return destination.with_name(destination.name + ".part")


def write_stamp(destination: Path, sha256: str) -> None:
    """Vouches for a finished file: `download` does not hash it again."""
    _stamp_of(destination).write_text(sha256 + "\n", "ascii")


def read_stamp(destination: Path) -> Optional[str]:
    """The SHA-256 that `write_stamp` wrote for a finished file, None without one."""
    stamp = _stamp_of(destination)
    return stamp.read_text("ascii").strip() if stamp.exists() else None


def _fetch(pinned: Pinned, part: Path, manner: Manner) -> str:
    """Completes `part`, and returns the SHA-256 of what it holds then, in hexadecimal."""
    if pinned.bytes is not None and pinned.bytes >= manner.ranges_from:
        pieces = Pieces(pinned, pinned.bytes, part, manner)
        check_space(part, pinned.bytes - pieces.kept() + manner.margin_bytes)
        try:
            return pieces.run()
        except RangesRefusedError:
            logger.info("%s gives no ranges: it comes over one connection", pinned.url)
    stream = Stream(pinned, part, manner)
    check_space(part, max(0, (pinned.bytes or 0) - stream.kept()) + manner.margin_bytes)
    return stream.run()


def _stamp_of(destination: Path) -> Path:
    return destination.with_name(destination.name + ".sha256")


def _is_there(pinned: Pinned, destination: Path) -> bool:
    if not destination.exists():
        return False
    right_size = pinned.bytes is None or destination.stat().st_size == pinned.bytes
    stamped = read_stamp(destination) == pinned.sha256
    if right_size and (stamped or sha256_of(destination) == pinned.sha256):
        write_stamp(destination, pinned.sha256)
        return True
    logger.warning("%s is not the pinned file: removing it", destination)
    destination.unlink()
    return False
