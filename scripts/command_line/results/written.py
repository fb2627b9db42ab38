"""Writes a file whole or not at all, and looks beforehand whether a folder takes files."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from scripts.command_line.terminal.command_error import CommandError
from scripts.interruption.scratch_folder import scratch_folder

# Folders in which files lie until they are whole.
UNFINISHED = ".sd-unfinished-"


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
    """A path to write to, in a folder for a while on the same disk, which takes the place of `path` at the end.

    Whatever breaks off, `path` is as it was, and what a killed process left of the part goes with the next download.
    Raises `CommandError` where the disk takes nothing.
    """
    try:
        with scratch_folder(UNFINISHED, path.parent) as folder:
            part = folder / path.name
            yield part
            part.replace(path)
    except OSError as error:
        why = error.strerror or str(error)
        raise CommandError(f"Could not write {path}: {why}. Name another folder: --to FOLDER") from error
