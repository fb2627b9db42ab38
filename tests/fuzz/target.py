"""What is fuzzed: a parser, given bytes, and the only errors that may leave it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

MOST_SECONDS = 5.0


@dataclass(frozen=True)
class Target:
    """`parse` takes any bytes. It may raise `refuses`, or return None, for what it refuses; anything else is a fault.

    `cost` is how many times as long it takes as most others: a short run does it so much less often.
    """

    parse: Callable[[bytes], object]
    refuses: tuple[type[Exception], ...] = (ValueError,)
    cost: int = 1
