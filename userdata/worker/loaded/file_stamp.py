"""Tells whether the files at a place are still those that were loaded."""

from __future__ import annotations

from pathlib import Path


def stamp(place: Path) -> object:
    """The files at `place`, or below it, by name, size and time: a person may have replaced one of their own."""
    files = sorted(file for file in (place.rglob("*") if place.is_dir() else [place]) if file.is_file())
    return [(str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in files]
