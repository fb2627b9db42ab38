"""Estimates how long the rest of the images will take."""

from __future__ import annotations

import time
from collections.abc import Callable


class Pace:
    """The pace of drawing `total` images, measured from the beginning. `done` counts the images drawn so far."""

    def __init__(self, total: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.done = 0
        self._total = total
        self._clock = clock
        self._began = clock()

    def remaining_seconds(self, images: float) -> float:
        """The expected time for the rest after `images` images, more than 0, fractions included. Never negative."""
        return max(0.0, (self._clock() - self._began) / images * (self._total - images))
