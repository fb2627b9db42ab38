"""The limit of dollars of a batch, which holds for all its machines together."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from datetime import UTC, datetime

from userdata.batch.documents import Batch, MachineShare
from userdata.contract.layout import RunKeys
from userdata.worker.bucket.bucket import Bucket

logger = logging.getLogger(__name__)
LOOK_SECONDS = 60.0
# All machines read what all others tell, so that their requests grow with the square of their number.
LOOK_SECONDS_PER_MACHINE = 2.0
# A machine that has told nothing for so long works no more. Rejected: to count it for ever.
WORKS_SECONDS = 600.0


class BatchSpending:
    """Watches what all machines of a batch can have cost by now; this one's is `own`, whose document is its own.

    The others count up to now at their price, and every `LOOK_SECONDS` this reads what they tell: with more than
    thirty machines, every `LOOK_SECONDS_PER_MACHINE` for each. A machine ends the unit that it has begun. So n machines
    at $p an hour, whose units take u seconds, pass the limit by at most n * p * (max(60, 2 * n) + u) / 3600 dollars:
    ten machines at $1 with units of a minute by $0.33. In truth it is less, because only machines that have begun
    since the last look are unknown.
    """

    def __init__(
        self, bucket: Bucket, keys: RunKeys, *, instance_id: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._bucket = bucket
        self._keys = keys
        self._own_key = keys.machine(instance_id)
        self._clock = clock
        self._look_again_at = -math.inf
        self._max_usd: float | None = None
        self._images = 0
        self._others: list[MachineShare] = []
        self._longest = 0.0

    def unit_took(self, seconds: float) -> None:
        """Tells how long a unit took. The longest one so far says what the next one may cost."""
        self._longest = max(self._longest, seconds)

    @property
    def images(self) -> int:
        """How many images the whole batch has, as far as it was read."""
        return self._images

    def why_not(self, own: MachineShare) -> str | None:
        """Why a further unit would pass the limit, a sentence for a person; None where it would not.

        Raises botocore's errors when the bucket cannot be read.
        """
        if self._clock() >= self._look_again_at:
            self._look()
        if self._max_usd is None:
            return None
        if own.usd_at_most is None or own.usd_per_hour is None:
            return (
                f"The batch may cost ${self._max_usd:g}, but what {own.instance_id} ({own.instance_type}) costs an "
                "hour is not known here. Deploy with the price: UsdPerHour, for example 1.006."
            )
        so_far = own.usd_at_most + sum(_until_now(other) for other in self._others)
        if so_far + own.usd_per_hour * self._longest / 3600 < self._max_usd:
            return None
        return (
            f"The batch may cost ${self._max_usd:g}, and its machines can have cost up to ${so_far:.2f} by now, so "
            "that no further unit is begun. What is drawn is in the bucket."
        )

    def _look(self) -> None:
        content = self._bucket.get(self._keys.batch)
        try:
            batch = Batch.from_json(content) if content else None
            self._max_usd, self._images = (batch.max_usd, batch.images) if batch else (None, 0)
        except ValueError as error:
            logger.warning("%s is not readable, and no limit of dollars is known: %s", self._keys.batch, error)
        self._others = []
        if self._max_usd is not None:
            for key in self._bucket.sorted_keys(self._keys.machines):
                if key != self._own_key:
                    self._others.extend(self._told(key))
        pause = max(LOOK_SECONDS, LOOK_SECONDS_PER_MACHINE * (1 + len(self._others)))
        self._look_again_at = self._clock() + pause

    def _told(self, key: str) -> list[MachineShare]:
        try:
            return [MachineShare.from_json(self._bucket.get(key) or b"")]
        except ValueError as error:
            logger.warning("%s is not readable, and does not count: %s", key, error)
            return []


def _until_now(share: MachineShare) -> float:
    """What a machine can have cost by now. Another machine's clock may differ from ours."""
    since = (datetime.now(UTC) - share.updated_at).total_seconds()
    return (share.usd_at_most or 0.0) + (share.usd_per_hour or 0.0) * min(max(since, 0.0), WORKS_SECONDS) / 3600
