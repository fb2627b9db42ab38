"""Cuts the images of a batch into units, each of which takes the slowest card of the ways about a minute."""

from __future__ import annotations

from collections.abc import Sequence

from scripts.command_line.batching.hand_in import Written, write_units
from scripts.command_line.batching.spool import Spool
from scripts.command_line.cost.estimate import image_seconds
from stacks.facts.instance_types import INSTANCE_TYPES
from userdata.fleet.decision import Way, images_of_unit
from userdata.job.job import Job


def cut_into_parts(spool: Spool, ways: Sequence[Way], sample: int | None = None) -> list[Written]:
    """The parts of all images: one, or with a sample of so many images that one first, and then the rest."""
    kinds = {way.offer.instance_type for way in ways} & INSTANCE_TYPES.keys()

    def size(job: Job) -> int:
        seconds = [image_seconds(job, INSTANCE_TYPES[kind]) for kind in kinds]
        return images_of_unit(max((one for one in seconds if one), default=None))

    if sample is None or sample >= spool.images:
        return [write_units(spool.units(size))]
    first = spread(spool.images, sample)
    return [
        write_units(spool.units(size, first.__contains__)),
        write_units(spool.units(size, lambda number: number not in first)),
    ]


def spread(images: int, wanted: int) -> frozenset[int]:
    """The numbers of `wanted` of so many images, at even distances, the first one among them."""
    return frozenset(place * images // wanted for place in range(wanted))
