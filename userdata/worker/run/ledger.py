"""Keeps the account of one attempt at a run: what the attempt has cost so far, and what earlier attempts cost."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from userdata.bill.cost import Cost, Receipt, attempt_receipt, earlier_receipts, run_cost
from userdata.bill.prices import HourlyPrice
from userdata.contract.layout import RunKeys
from userdata.worker.bucket.bucket import Bucket
from userdata.worker.process.settings import Settings


class Ledger:
    """The account of an attempt on the machine of `settings`; `bucket` counts the attempt's requests.

    Of the deployed `parameters`, VolumeSize is the disk's size in GiB, and UsdPerHour a price that takes the place of
    the table's. An attempt whose machine was up already counts from `began`, any other from its boot. Reads the report
    that an earlier attempt left. Raises botocore's error when the bucket cannot be read.
    """

    def __init__(
        self,
        settings: Settings,
        bucket: Bucket,
        keys: RunKeys,
        parameters: Mapping[str, str],
        *,
        began: datetime | None = None,
    ) -> None:
        self._settings = settings
        self._began = began
        self._bucket = bucket
        self._disk_gb = float(parameters.get("VolumeSize") or 0)
        usd = float(parameters.get("UsdPerHour") or 0)
        self._price = HourlyPrice(usd=usd, source="the parameter UsdPerHour") if usd else None
        self._earlier: list[Receipt] = earlier_receipts(bucket.get(keys.report))

    def cost(self, *, images: int, in_seconds: float = 0) -> Cost | None:
        """The run's cost up to now, or up to `in_seconds` from now, with `images` images done.

        None when no price is known. Without UsdPerHour, None on a machine without a GPU too: it may not be an instance
        of the type that it calls itself, and is not billed as one.
        """
        settings = self._settings
        if settings.device == "cpu" and self._price is None:
            return None
        receipt = attempt_receipt(
            instance_id=settings.instance_id,
            instance_type=settings.instance_type,
            region=settings.region,
            life_cycle=settings.life_cycle,
            began=self._began or settings.boot_started_at,
            ended=datetime.now(UTC) + timedelta(seconds=in_seconds),
            disk_gb=self._disk_gb,
            requests=self._bucket.requests,
            price=self._price,
            starts_machine=self._began is None,
        )
        return run_cost(self._earlier, receipt, images=images) if receipt else None
