"""What this machine has done of a batch, kept in the bucket in a document of its own."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from datetime import UTC, datetime

from userdata.batch.documents import MachineShare
from userdata.bill.cost import Receipt
from userdata.contract.layout import RunKeys
from userdata.worker.bucket.bucket import Bucket
from userdata.worker.bucket.passing_errors import AWS_ERRORS
from userdata.worker.bucket.publisher import Publisher
from userdata.worker.process.settings import Settings
from userdata.worker.run.ledger import Ledger

logger = logging.getLogger(__name__)
# At most so often, because each request is paid for.
PUBLISH_SECONDS = 5.0


class Share:
    """The share of the machine of `settings`, which goes on from what an earlier worker of the machine has told.

    `parameters` are the machine's, for what it costs. Any thread may count.
    """

    def __init__(self, settings: Settings, parameters: Mapping[str, str], bucket: Bucket, keys: RunKeys) -> None:
        self._lock = threading.Lock()
        key, now = keys.machine(settings.instance_id), datetime.now(UTC)
        hour = Ledger(settings, bucket.counted_anew(), parameters, began=now).receipt(in_seconds=3600)
        self._share = _told(bucket.get(key)) or MachineShare(
            instance_id=settings.instance_id,
            instance_type=settings.instance_type,
            life_cycle=settings.life_cycle,
            began=now,
            updated_at=now,
            units=0,
            images=0,
            seconds=0,
            usd=hour and 0.0,
            usd_at_most=hour and 0.0,
            usd_per_hour=hour and hour.usd,
        )
        self._publisher = Publisher(bucket, key, self._render, interval=PUBLISH_SECONDS)

    @property
    def told(self) -> MachineShare:
        """The share so far."""
        with self._lock:
            return self._share

    def count(self, receipt: Receipt | None, *, seconds: float = 0, images: int | None = None) -> None:
        """Counts what something has cost, `seconds` of work, and a unit of `images` images; None for no unit."""
        with self._lock:
            before = self._share
            usd = receipt.usd if receipt else None
            at_most = receipt.usd_at_most if receipt else None
            self._share = before.model_copy(
                update={
                    "began": min(before.began, receipt.began) if receipt else before.began,
                    "updated_at": datetime.now(UTC),
                    "units": before.units + (images is not None),
                    "images": before.images + (images or 0),
                    "seconds": round(before.seconds + seconds, 3),
                    "usd": _sum(before.usd, usd),
                    "usd_at_most": _sum(before.usd_at_most, usd if at_most is None else at_most),
                }
            )
        self._publisher.changed()

    def close(self) -> None:
        """Sees to it that the last state is in the bucket. A failure is a warning: every unit tells of itself."""
        try:
            self._publisher.close()
        except AWS_ERRORS as error:
            logger.warning("What this machine has done of a batch was not uploaded: %s", error)

    def _render(self) -> bytes:
        return self.told.to_json()


def _told(content: bytes | None) -> MachineShare | None:
    try:
        return MachineShare.from_json(content) if content else None
    except ValueError as error:
        logger.warning("What this machine has told of a batch is not readable, and begins anew: %s", error)
        return None


def _sum(before: float | None, more: float | None) -> float | None:
    return None if before is None or more is None else round(before + more, 6)
