"""Writes files whole or not at all, so that what lies under its final name can be trusted after any interruption."""

from __future__ import annotations

import os
import threading
from pathlib import Path


def write_atomically(path: Path, content: bytes) -> None:
    """Writes `content` to `path`, making folders as needed; flushed to the disk before it gets its name.

    Raises `OSError`, and leaves nothing of it behind, nor does Ctrl-C: on a full disk the log still has to find room.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # By the number of the thread, which is its own among all of the machine: two commands may write a file at once.
    unfinished = path.with_name(f".{path.name}.{threading.get_native_id()}.unfinished")
    try:
        unfinished.write_bytes(content)
        put_in_place(unfinished, path)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise


def put_in_place(unfinished: Path, path: Path) -> None:
    """Gives a finished file its name, once its content is on the disk.

    Without that, a machine that dies may keep the name, or a note that vouches for the file, and lose the content.
    """
    with unfinished.open("rb") as content:
        os.fsync(content.fileno())
    unfinished.replace(path)
