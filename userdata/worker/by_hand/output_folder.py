"""The output folder of the original scripts: `samples/00000.png` and `grid-0000.png`, counted on from call to call."""

from __future__ import annotations

import os
import re
from pathlib import Path

from userdata.job.run_error import RunError


class OutputFolder:
    """Where one call of an original script saves its images.

    The numbers go on after the highest number in the folder. Rejected: the number of entries in the folder, as the
    original counts, which overwrites images once an earlier image was deleted.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.samples = folder / "samples"
        self._first_sample = _after_the_highest(self.samples, r"(\d{5,})\.png")
        self._grid = _after_the_highest(folder, r"grid-(\d{4,})\.png")

    def check(self) -> None:
        """Raises `RunError` when nothing can be saved in the folder. Makes no folder, because the call may yet fail."""
        there = next(place for place in (self.samples, *self.samples.parents) if place.exists())
        if not there.is_dir() or not os.access(there, os.W_OK):
            raise RunError(
                f"--outdir is {str(self.folder)!r}, but {there} is no folder, or may not be written to. Name another."
            )

    def sample(self, index: int) -> Path:
        """The file of image `index` of this call, counted from 0."""
        return self.samples / f"{self._first_sample + index:05}.png"

    @property
    def grid(self) -> Path:
        """The file of this call's grid."""
        return self.folder / f"grid-{self._grid:04}.png"


def _after_the_highest(folder: Path, pattern: str) -> int:
    names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    numbers = [int(match[1]) for name in names if (match := re.fullmatch(pattern, name))]
    return max(numbers, default=-1) + 1
