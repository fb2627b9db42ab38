"""Where two things go when one is under, on, above, beside or in front of the other."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from demo_model.world.sprites import proportions
from demo_model.world.things import THINGS

RELATIONS = ("on", "above", "under", "in front of", "left of", "right of", "next to")


@dataclass(frozen=True)
class Box:
    """A thing's place in pixels: its centre, width and height."""

    thing: int
    x: float
    y: float
    width: float
    height: float


def box(thing: int, size: float, *, x: float, bottom: float, tallest: float = 200) -> Box:
    """The box of a thing whose longer edge is `size` and whose lower edge is at `bottom`, all in pixels."""
    wide, high = (share * size for share in proportions()[thing])
    if high > tallest:
        wide, high = wide * tallest / high, tallest
    return Box(thing, x, bottom - high / 2, wide, high)


def arrangement(relation: str, one: int, other: int) -> tuple[str, int, int]:
    """What a relation is to the eye, and of which things in which order, so that two wordings of one view are one.

    `next to` is either side and has to be decided before.
    """
    if relation == "right of":
        return "beside", other, one
    if relation == "left of":
        return "beside", one, other
    if relation == "under" and not THINGS[other].shelters:
        return "over", other, one
    if relation == "under":
        return "sheltered", one, other
    return {"on": "stacked", "above": "over", "in front of": "before"}[relation], one, other


def arrange(name: str, one: int, other: int, random: Random, width: int, height: int) -> tuple[Box, Box]:
    """The boxes of the first and the second thing of an arrangement, in a scene of this size in pixels."""
    middle = width / 2 + random.uniform(-5, 5)
    if name == "beside":
        apart = random.uniform(28, 31)
        ground = 0.84 * height + random.uniform(-5, 4)
        size = random.uniform(47, 55)
        return (
            box(one, size, x=middle - apart, bottom=ground + random.uniform(-2, 2)),
            box(other, size + random.uniform(-4, 4), x=middle + apart, bottom=ground + random.uniform(-2, 2)),
        )
    if name == "stacked":
        below = box(other, random.uniform(52, 58), x=middle, bottom=0.95 * height, tallest=54)
        top = below.y - below.height / 2
        sunk = min(0.12 * below.height, 6)
        upper = box(one, random.uniform(48, 54), x=middle + random.uniform(-3, 3), bottom=top + sunk, tallest=52)
        return upper, below
    if name == "over":
        below = box(other, random.uniform(46, 50), x=middle, bottom=0.95 * height, tallest=48)
        gap = random.uniform(9, 16)
        upper = box(
            one,
            random.uniform(46, 50),
            x=middle + random.uniform(-6, 6),
            bottom=below.y - below.height / 2 - gap,
            tallest=48,
        )
        return upper, below
    if name == "sheltered":
        shelter = box(other, random.uniform(98, 106), x=middle, bottom=0.92 * height, tallest=104)
        foot = 0.92 * height + random.uniform(0, 3)
        return box(one, random.uniform(42, 47), x=middle + random.uniform(-9, 9), bottom=foot, tallest=42), shelter
    side = random.choice((-1, 1))
    # Less than half of what is behind may be hidden, or nobody could name it.
    behind = box(other, random.uniform(72, 80), x=middle - side * 15, bottom=0.8 * height, tallest=80)
    before = box(
        one, random.uniform(48, 54), x=behind.x + side * random.uniform(30, 36), bottom=0.94 * height, tallest=52
    )
    return before, behind
