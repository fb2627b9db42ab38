"""The seeds: which numbers they may be, how they count on, how one is drawn, and how JSON readers get them."""

from __future__ import annotations

import hashlib
import secrets
from typing import Annotated

from pydantic import PlainSerializer

from userdata.contract.outside import read_json

# What the generators of torch take as a positive number. Other programs have seeds of this size.
SEEDS = 2**63
# What a person gives as Seed to have one drawn, in the community's tools too.
RANDOM = -1
# The original scripts' generators, and those of many tools, take no more. Noise of the CPU's generator hangs on so much
# of a seed only, so that a larger seed would not be more random.
SEEDS_OF_32_BITS = 2**32
# The key of job.json where a drawn seed stands, beside the seed -1 that was asked for.
DRAWN_SEED = "drawn_seed"
# Readers of JSON that know floating-point numbers only, as JavaScript's, lose digits beyond.
EXACT_IN_JSON = 2**53


def _in_json(seed: int) -> int | str:
    return seed if abs(seed) <= EXACT_IN_JSON else str(seed)


# A seed in a document: text where a reader of numbers would lose digits. Both are read.
Seed = Annotated[int, PlainSerializer(_in_json)]


def draw_seed() -> int:
    """A seed that nobody can foresee."""
    return secrets.randbelow(SEEDS_OF_32_BITS)


def drawn_seed_in(job_document: bytes | None) -> int | None:
    """The seed that an earlier attempt has drawn and written into its job.json; None when there is none."""
    try:
        drawn = int(read_json(job_document or b"{}")[DRAWN_SEED])
    except (KeyError, TypeError, ValueError):
        return None
    return drawn if 0 <= drawn < SEEDS_OF_32_BITS else None


def seed_of_line(drawn: int, line: int) -> int:
    """The seed of the prompt file's line `line`, which asks for a drawn one, in a run that has drawn `drawn`."""
    return int.from_bytes(hashlib.sha256(f"{drawn} {line}".encode()).digest()[:4], "big")


def next_seed(seed: int, count: int) -> int:
    """The seed that is `count` after `seed`. The seeds go round, so that each of them can be a job's Seed."""
    return (seed + count) % SEEDS
