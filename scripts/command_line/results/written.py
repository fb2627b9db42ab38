"""Writes a file whole or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from scripts.command_line.terminal.command_error import CommandError


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
