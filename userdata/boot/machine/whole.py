"""Marks a folder as finished, so that a folder from an interrupted boot is not taken for whole."""

from __future__ import annotations

import os
import stat
from pathlib import Path

MARK = ".whole"
MARK_BYTES = 200


def is_whole(folder: Path, made_of: str) -> bool:
    """Whether `folder` was finished, and was made of what has the hash `made_of`."""
    try:
        # Root asks this of folders that it does not own: a link is not followed, and a pipe is not waited for.
        mark = os.open(folder / MARK, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        return stat.S_ISREG(os.fstat(mark).st_mode) and os.read(mark, MARK_BYTES).strip() == made_of.encode()
    finally:
        os.close(mark)


def mark_whole(folder: Path, made_of: str) -> None:
    """Marks `folder` as finished, made of what has the hash `made_of`."""
    (folder / MARK).unlink(missing_ok=True)
    with (folder / MARK).open("x", encoding="ascii") as mark:  # which follows no link
        mark.write(made_of + "\n")
