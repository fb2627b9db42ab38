"""How often something is timed, and what is told of it."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from userdata.worker.drawing.prepared import Prepared

FEWEST, MOST = 3, 9


@contextmanager
def kept_prepared() -> Iterator[Prepared]:
    """What a worker that stays has prepared, as long as this is open."""
    prepared = Prepared()
    try:
        yield prepared
    finally:
        prepared.release()


def timed(do: Callable[[], object]) -> float:
    """The seconds that `do` takes."""
    began = time.monotonic()
    do()
    return time.monotonic() - began


def repeated(do: Callable[[], float], seconds: float) -> list[float]:
    """What `do` returns, as often as `seconds` allow, from `FEWEST` to `MOST` times."""
    began, results = time.monotonic(), list[float]()
    while len(results) < FEWEST or (len(results) < MOST and time.monotonic() - began < seconds):
        results.append(do())
    return results


def spread(seconds: list[float], images: int) -> dict[str, float]:
    """Seconds an image, of calls for `images` images each."""
    each = [one / images for one in seconds]
    return {"median_s": statistics.median(each), "least_s": min(each), "most_s": max(each), "times": len(each)}
