"""Keeps the account of one attempt at a run: what it has cost so far, and what earlier attempts did."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from userdata.worker.bucket import Bucket
from userdata.worker.cost import Cost, Receipt, attempt_receipt, earlier_receipts, run_cost
from userdata.worker.layout import RunKeys
from userdata.worker.settings import Settings


class Ledger:
    """The account of the attempt that `settings` describe; `bucket` counts its requests.

    `parameters` are the deployed ones: VolumeSize is the disk's size in GiB. Reads the run's report of before, and
    raises botocore's error when the bucket cannot be read.
    """

    def __init__(self, settings: Settings, bucket: Bucket, keys: RunKeys, parameters: Mapping[str, str]) -> None:
        self._settings = settings
        self._bucket = bucket
        self._disk_gb = float(parameters.get("VolumeSize") or 0)
        self._earlier: list[Receipt] = earlier_receipts(bucket.get(keys.report))

    def cost(self, *, images: int) -> Cost | None:
        """The run's cost up to now, for `images` images that are there.

        None where no price is known, and on a machine without a GPU, which is not billed as what it calls itself.
        """
        settings = self._settings
        if settings.device == "cpu":
            return None
        receipt = attempt_receipt(
            instance_id=settings.instance_id,
            instance_type=settings.instance_type,
            region=settings.region,
            life_cycle=settings.life_cycle,
            began=settings.boot_started_at,
            ended=datetime.now(UTC),
            disk_gb=self._disk_gb,
            requests=self._bucket.requests,
        )
        return run_cost(self._earlier, receipt, images=images) if receipt else None
