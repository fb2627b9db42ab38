"""Pauses Python's cyclic garbage collector while many objects are created and none is freed."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class _Pause:
    """One pause for all threads, since the collector belongs to the process: it ends with the last that wants it."""

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


_pause = _Pause()


@contextmanager
def collector_at_rest() -> Iterator[None]:
    """The collector does nothing while this is open, on any thread.

    Importing torch and diffusers creates some hundred thousand objects, and none of them is freed. The collector goes
    through all of them again and again, which took a sixth of the imports' time. Afterwards the collector passes them
    over for good (`gc.freeze`), because going through them would stop the first images three times for a quarter of a
    second.
    """
    _pause.begin()
    try:
        yield
    finally:
        _pause.end()


def collect_all() -> None:
    """Collects what nothing refers to any more, also among what `collector_at_rest` has the collector pass over."""
    gc.unfreeze()
    gc.collect()
    gc.freeze()
