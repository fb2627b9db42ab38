"""Sees that nothing of a batch is left to draw, and says so once."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from heapq import merge
from itertools import groupby

from userdata.batch.documents import Batch, BatchEnded
from userdata.contract.layout import RunKeys
from userdata.worker.bucket.bucket import Bucket

logger = logging.getLogger(__name__)


class UnitsLeftError(Exception):
    """Not every unit is drawn or has failed."""


def end_if_all_is_done(bucket: Bucket, run_id: str) -> tuple[Batch, BatchEnded] | None:
    """Writes `done.json` if every unit is drawn or has failed. Returns what ended if this call was the first to see it.

    A batch ends again when its units have become more since, or fewer have failed. Counts, and keeps no list of units.
    Raises `UnitsLeftError`, and botocore's errors when the bucket cannot be read or written.
    """
    keys = RunKeys(run_id)
    try:
        batch = Batch.from_json(bucket.get(keys.batch) or b"")
    except ValueError as error:
        logger.warning("%s is not readable, so nobody sees whether the batch has ended: %s", keys.batch, error)
        return None
    done, failed = _count(bucket, keys)
    if done + failed < batch.units:
        raise UnitsLeftError
    ended = BatchEnded(ended=datetime.now(UTC), units_done=done, units_failed=failed)
    found, tag = bucket.get_with_tag(keys.batch_ended)
    if _counts_in(found) == (done, failed) or not bucket.put_once(keys.batch_ended, ended.to_json(), over=tag):
        return None
    logger.info("The batch %s has ended: %d units are drawn, %d have failed", run_id, done, failed)
    return batch, ended


def _count(bucket: Bucket, keys: RunKeys) -> tuple[int, int]:
    """How many units are drawn, and how many have failed and are not drawn."""

    def names(folder: str, failed: bool) -> Iterator[tuple[str, bool]]:
        return ((key.removeprefix(folder), failed) for key in bucket.sorted_keys(folder))

    counts = [0, 0]
    told = merge(names(keys.units_done, False), names(keys.units_failed, True))
    for _name, documents in groupby(told, key=lambda one: one[0]):
        counts[next(documents)[1]] += 1
    return counts[False], counts[True]


def _counts_in(content: bytes | None) -> tuple[int, int] | None:
    try:
        ended = BatchEnded.from_json(content or b"")
    except ValueError:
        return None
    return ended.units_done, ended.units_failed
