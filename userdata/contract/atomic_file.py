"""Writes files whole or not at all, so that what lies under its final name can be trusted after any interruption."""

from __future__ import annotations

import os
from pathlib import Path


def write_atomically(path: Path, content: bytes) -> None:
    """Writes `content` to `path`, making folders as needed; flushed to the disk before it gets its name.

    Raises `OSError`, and leaves nothing of it behind: on a full disk the log still has to find room.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.unfinished")
    try:
        with unfinished.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())  # without it, a machine that dies may keep the name and lose the content
    except OSError:
        unfinished.unlink(missing_ok=True)
        raise
    unfinished.replace(path)
