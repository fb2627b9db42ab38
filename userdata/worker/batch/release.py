"""Releases a part of a batch: sends the messages of its units that are neither drawn nor failed."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator

from userdata.batch.unit import MOST_LINE_BYTES
from userdata.contract.layout import RunKeys
from userdata.contract.work import Release, UnitOfBatch
from userdata.job.run_error import RunError
from userdata.worker.bucket.bucket import Bucket

logger = logging.getLogger(__name__)
# Then another message stands for the rest, so that no worker is at it for long. It costs one more request in a hundred.
MOST_UNITS = 1000
# What SQS takes with one request.
AT_ONCE = 10
PIECE_BYTES = 1024 * 1024


def release_units(
    bucket: Bucket, work: Release, send: Callable[[list[str]], None], *, leaves: Callable[[], bool]
) -> None:
    """Calls `send` with the messages of units, ten at a time, and at last with that of the rest, if there is any.

    Looks at `MOST_UNITS` units, and at fewer once `leaves` says so. Holds a piece of the file, whatever its length.
    A unit that is sent twice is drawn once. Raises `RunError` when there is no such part, or its lines are none.
    """
    keys = RunKeys(work.run_id)
    kept = [_Numbers(bucket, folder, work.part, first=work.unit) for folder in (keys.units_done, keys.units_failed)]
    waiting: list[str] = []
    sent = 0
    for unit, (at, length) in enumerate(_lines(bucket, keys.units(work.part), work.at), work.unit):
        if unit - work.unit == MOST_UNITS or (len(waiting) == AT_ONCE and leaves()):
            waiting.append(Release(work.run_id, work.part, unit, at).to_body())
            break
        if len(waiting) == AT_ONCE:
            send(waiting)
            sent, waiting = sent + AT_ONCE, []
        if not any(numbers.has(unit) for numbers in kept):
            waiting.append(UnitOfBatch(work.run_id, work.part, unit, at, length).to_body())
    for first in range(0, len(waiting), AT_ONCE):
        send(waiting[first : first + AT_ONCE])
    logger.info("%d messages of units of part %d of %s are sent", sent + len(waiting), work.part, work.run_id)


def _lines(bucket: Bucket, key: str, at: int) -> Iterator[tuple[int, int]]:
    """Where each line begins, and its length, both in bytes, from the line on that begins at byte `at`."""
    rest = b""
    while piece := bucket.get_part(key, at + len(rest), PIECE_BYTES):
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            yield at, len(line) + 1
            at += len(line) + 1
        if len(rest) > MOST_LINE_BYTES:
            raise RunError(
                f"{key} has a line of more than {MOST_LINE_BYTES:,} bytes at byte {at:,}, so it holds no units."
            )
    if piece is None:
        raise RunError(f"There is no {key} in the bucket {bucket.name}, so there are no units to release.")
    if rest:
        yield at, len(rest)


class _Numbers:
    """The units of a part that have a document in `folder`, from `first` on; asked for in rising order."""

    def __init__(self, bucket: Bucket, folder: str, part: int, *, first: int) -> None:
        before = f"{folder}{part}-{first - 1:06}.json" if first else ""
        prefix = f"{folder}{part}-"
        names = (key.removeprefix(prefix).removesuffix(".json") for key in bucket.sorted_keys(prefix, after=before))
        self._numbers = (int(name) for name in names if name.isdecimal())
        self._next: int | None = -1

    def has(self, unit: int) -> bool:
        while self._next is not None and self._next < unit:
            self._next = next(self._numbers, None)
        return self._next == unit
