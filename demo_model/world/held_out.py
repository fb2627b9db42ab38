"""Which combinations are kept out of the training, to measure what the model does with ones that it never saw."""

from __future__ import annotations

import zlib

# One combination in this many of each kind is held out.
ONE_IN = 12


def _chosen(*parts: str) -> bool:
    return zlib.crc32("|".join(parts).encode()) % ONE_IN == 0


def pair_is_held_out(one: str, other: str) -> bool:
    """Whether two things, in any order and relation, never meet in the training."""
    return _chosen("pair", *sorted((one, other)))


def arrangement_is_held_out(arrangement: str, one: str, other: str) -> bool:
    """Whether two things never meet in this arrangement; see `arrangements.arrange` for its name and the order."""
    return _chosen(arrangement, one, other)


def colouring_is_held_out(thing: str, colour: str) -> bool:
    """Whether a thing is never painted in a colour in the training."""
    return _chosen("colour", thing, colour)
