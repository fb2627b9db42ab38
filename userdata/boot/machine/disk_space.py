"""Whether what is to be fetched fits on the disk."""

from __future__ import annotations

import shutil
from pathlib import Path

from userdata.boot.machine.step_error import StepError


def check_space(place: Path, needed: float) -> None:
    """Raises `StepError` when the disk has not `needed` bytes free for what will be at `place`.

    Its folder exists.
    """
    free = shutil.disk_usage(place.parent).free
    if free < needed:
        raise StepError(
            f"{place.parent} has {amount(free)} free, but {place.name} needs {amount(needed)} with a margin. "
            "Deploy again with a larger VolumeSize."
        )


def amount(size: float) -> str:
    """A number of bytes for a person, for example `4.3 GB`."""
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= factor:
            return f"{size / factor:.1f} {unit}"
    return f"{size:.0f} bytes"
