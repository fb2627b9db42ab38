"""Python's cyclic garbage collector while nothing becomes garbage."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class _Rest:
    """How many want it, on all threads: the collector belongs to the process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._wanted_by = 0
        self._was_on = False

    def begin(self) -> None:
        with self._lock:
            if not self._wanted_by:
                self._was_on = gc.isenabled()
                gc.disable()
            self._wanted_by += 1

    def end(self) -> None:
        with self._lock:
            self._wanted_by -= 1
            if not self._wanted_by and self._was_on:
                gc.freeze()
                gc.enable()


_rest = _Rest()


@contextmanager
def collector_at_rest() -> Iterator[None]:
    """Nothing is looked for to be freed while this is open, on any thread.

    Importing torch and diffusers makes some hundred thousand objects that all stay. The collector goes through those
    that are there again and again, which took a sixth of the imports' time. Nor does it afterwards, which would stop
    the first images three times for a quarter of a second: what is there by then is there for good.
    """
    _rest.begin()
    try:
        yield
    finally:
        _rest.end()
