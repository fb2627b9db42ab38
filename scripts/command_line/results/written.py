"""Writes a file whole or not at all, and looks beforehand whether a folder takes files."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from scripts.command_line.terminal.command_error import CommandError


def need_writable(folder: Path) -> None:
    """Raises `CommandError` unless files can lie in `folder`, which may not be there yet. Leaves nothing behind.

    For commands that have images drawn and download them then: before anything is paid for.
    """
    try:
        there = next(one for one in (folder, *folder.absolute().parents) if one.exists())
        with tempfile.TemporaryFile(dir=there):  # a right to write says little: the disk may be full or read-only
            pass
    except OSError as error:
        raise CommandError(
            f"Could not write {folder}: {error.strerror}. Nothing was begun. Name another folder: --to FOLDER"
        ) from error


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """A path to write to, `path` with the ending `.part`, which takes its place at the end.

    Whatever breaks off, `path` is as it was, and nothing of the part is left. Raises `CommandError` where the disk
    takes nothing.
    """
    part = path.with_name(f"{path.name}.part")
    try:
        part.parent.mkdir(parents=True, exist_ok=True)
        yield part
        part.replace(path)
    except OSError as error:
        why = error.strerror or str(error)
        raise CommandError(f"Could not write {path}: {why}. Name another folder: --to FOLDER") from error
    finally:
        part.unlink(missing_ok=True)
