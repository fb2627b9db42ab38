"""Checks that a file fits on the disk before it is fetched."""

from __future__ import annotations

import shutil
from pathlib import Path

from userdata.boot.machine.step_error import NoRoomError


def check_space(place: Path, needed: float) -> None:
    """Raises `NoRoomError` unless the disk has `needed` bytes free for the file that will be at `place`.

    The folder of `place` exists.
    """
    free = shutil.disk_usage(place.parent).free
    if free < needed:
        raise NoRoomError(
            f"{place.parent} has {amount(free)} free, but {place.name} needs {amount(needed)} with a margin. "
            "Deploy again with a larger VolumeSize."
        )


def amount(size: float) -> str:
    """A number of bytes for a person, for example `4.3 GB`."""
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= factor:
            return f"{size / factor:.1f} {unit}"
    return f"{size:.0f} bytes"
