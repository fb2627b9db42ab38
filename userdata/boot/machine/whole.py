"""Marks a folder as finished, so that a folder from an interrupted boot is not taken for whole."""

from __future__ import annotations

from pathlib import Path

MARK = ".whole"


def is_whole(folder: Path, made_of: str) -> bool:
    """Whether `folder` was finished, and was made of what has the hash `made_of`."""
    mark = folder / MARK
    return mark.exists() and mark.read_text("ascii").strip() == made_of


def mark_whole(folder: Path, made_of: str) -> None:
    """Marks `folder` as finished, made of what has the hash `made_of`."""
    (folder / MARK).write_text(made_of + "\n", "ascii")
