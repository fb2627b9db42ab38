"""Tells whether the files at a place are still those that were loaded."""

from __future__ import annotations

from pathlib import Path

WEIGHTS = {".safetensors", ".ckpt", ".bin", ".pt", ".pth"}


def stamp(place: Path) -> object:
    """The file at `place`, or the weights below it, by place, size and time: a person may have replaced one.

    By the place itself and not by a link to it, because the same model can be had under two names.
    """
    files = (file for file in place.rglob("*") if file.suffix in WEIGHTS) if place.is_dir() else [place]
    found = sorted(file.resolve() for file in files if file.is_file())
    return [(str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in found]
