"""Decides how many machines of which market are wanted. Commands, tests and the simulation ask this file alone.

Nothing is asked of AWS here: prices, speeds and limits come in, numbers go out. So a way can be tried for a million
images without a machine, and `docs/scaling.md` shows what comes of it.

The rule: as many machines as pay. Each further machine draws the same images sooner, but its boot and its idle minutes
are paid too. So machines are added while all boots and idle minutes beyond those of one machine raise the cost by at
most `DEARER_BY`. Rejected: the same bound for each single machine. The addition of a machine always costs the same,
while what it is added to grows, so that bound would allow either no second machine or all of them.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Optional

Market = Literal["on-demand", "spot", "mixed"]

# How much dearer than one machine several may be together.
DEARER_BY = 0.10
# A unit is worth about a minute on the slowest card: so much is drawn again where a spot machine is lost.
UNIT_SECONDS = 60.0
MOST_UNIT_IMAGES = 64


@dataclass(frozen=True)
class Offer:
    """Machines of one type in one market: what an hour of one costs with its disk and address, and how fast it is.

    `most` is how many there may be, by the quota and the size of the fleet. `of_fleet` says that the fleet has them,
    and not the one instance of the stack. `at_most` says that the price is an upper bound.
    """

    instance_type: str
    market: Market
    usd_per_hour: Optional[float]
    image_seconds: Optional[float]
    boot_seconds: float
    most: int = 1
    of_fleet: bool = False
    at_most: bool = False


@dataclass(frozen=True)
class Work:
    """What is to be drawn: how many images, how many of them a unit has, and within which bounds.

    A machine stays up for `idle_seconds` after its last unit. `end_within` are the seconds after which the guard ends
    all machines, boots included. `machines` is how many a person wants, None for as many as pay.
    """

    images: int
    unit_images: int
    idle_seconds: float
    max_usd: Optional[float]
    end_within: float
    machines: Optional[int] = None

    @property
    def units(self) -> int:
        """How many units that makes; a machine draws one at a time."""
        return math.ceil(self.images / self.unit_images)


@dataclass(frozen=True)
class Way:
    """So many machines of one offer, how long they take and what that costs; None where no figure is known.

    `seconds` count from the start of the machines to the last image; `usd` includes boots and idle minutes.
    """

    offer: Offer
    machines: int
    seconds: Optional[float]
    usd: Optional[float]
    ends_in_time: bool = True
    chosen: bool = False

    @property
    def hours(self) -> Optional[float]:
        """The same in hours."""
        return None if self.seconds is None else self.seconds / 3600


def images_of_unit(image_seconds: Optional[float]) -> int:
    """How many images a unit has, by the seconds that the slowest card takes for one; 1 where they are not known."""
    if not image_seconds:
        return 1
    return max(1, min(MOST_UNIT_IMAGES, round(UNIT_SECONDS / image_seconds)))


def way_of(offer: Offer, work: Work, machines: int) -> Way:
    """What comes of `machines` machines of the offer, without losses."""
    if offer.image_seconds is None:
        return Way(offer, machines, None, None)
    drawing = work.images * offer.image_seconds
    # The machine with the most units, all of them full but for the last one of the batch.
    longest = min(math.ceil(work.units / machines) * work.unit_images, work.images) * offer.image_seconds
    seconds = offer.boot_seconds + longest
    paid = machines * (offer.boot_seconds + work.idle_seconds) + drawing
    usd = None if offer.usd_per_hour is None else paid / 3600 * offer.usd_per_hour
    return Way(offer, machines, seconds, usd, ends_in_time=seconds <= work.end_within)


def machines_that_pay(offer: Offer, work: Work) -> int:
    """How many machines of the offer are worth their boots, 0 where there can be none.

    Never more than units, than the offer has, or than `max_usd` pays for. Where these do not end in time, as many as do
    are taken, as far as there are any. Without a figure for the card it is one, if `max_usd` pays for its boot: nothing
    says how many would pay. A number that a person wants is taken, or none.
    """
    most = min(offer.most, work.units)
    beside = max(1.0, offer.boot_seconds + work.idle_seconds)
    if work.max_usd is not None and (offer.usd_per_hour is None or offer.usd_per_hour * beside / 3600 > work.max_usd):
        return 0
    if work.machines is not None:
        wanted = min(work.machines, work.units)
        usd = way_of(offer, work, wanted).usd
        too_dear = work.max_usd is not None and usd is not None and usd > work.max_usd
        return 0 if wanted > offer.most or too_dear else wanted
    if most < 1 or offer.image_seconds is None:
        return max(0, min(most, 1))
    drawing = work.images * offer.image_seconds
    paying = 1 + math.floor(DEARER_BY * (beside + drawing) / beside)
    units_in_time = (work.end_within - offer.boot_seconds) // (work.unit_images * offer.image_seconds)
    in_time = math.ceil(work.units / units_in_time) if units_in_time > 0 else most
    wanted = min(most, max(paying, in_time))
    if work.max_usd is None or not offer.usd_per_hour:
        return wanted
    affordable = math.floor((work.max_usd / offer.usd_per_hour * 3600 - drawing) / beside)
    return max(0, min(wanted, affordable))


def find_best(offers: Sequence[Offer], work: Work) -> list[Way]:
    """A way for each offer that has one within the bounds, the best one first and marked as chosen.

    The best is the cheapest of those that end in time, else the one that ends first. Ways without a figure come last.
    """
    ways = [way_of(offer, work, machines) for offer in offers if (machines := machines_that_pay(offer, work))]

    def order(way: Way) -> tuple[bool, bool, float, float]:
        seconds = math.inf if way.seconds is None else way.seconds
        usd = math.inf if way.usd is None else way.usd
        return way.usd is None, not way.ends_in_time, (usd if way.ends_in_time else seconds), seconds

    ways.sort(key=order)
    return [dataclasses.replace(way, chosen=index == 0) for index, way in enumerate(ways)]


def wanted_now(way: Way, units_left: int, in_service: int) -> int:
    """How many machines the fleet should be told to have now: no more than units, and never fewer than there are.

    Machines end themselves once nothing is left to draw. A number below those in service would make EC2 end machines
    in mid-work, perhaps another run's.
    """
    return max(in_service, min(way.machines, way.offer.most, units_left))
