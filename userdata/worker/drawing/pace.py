"""How fast images come."""

from __future__ import annotations

import time


class Pace:
    """Measures from its beginning, over all finished parts of images. `done` counts the images finished so far."""

    def __init__(self, total: int) -> None:
        self.done = 0
        self._total = total
        self._began = time.monotonic()

    def remaining_seconds(self, images: float) -> float:
        """The expected time for what is left after `images` images, fractions included."""
        return (time.monotonic() - self._began) / images * (self._total - images)
