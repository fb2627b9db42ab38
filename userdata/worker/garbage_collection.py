"""Python's cyclic garbage collector while nothing becomes garbage."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def collector_at_rest() -> Iterator[None]:
    """Nothing is looked for to be freed while this is open.

    Importing torch and diffusers makes some hundred thousand objects that all stay. The collector goes through those
    that are there again and again, which took a sixth of the imports' time.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
