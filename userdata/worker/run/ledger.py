"""Keeps the account of one attempt at a run: what the attempt has cost so far, and what earlier attempts cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from userdata.bill.cost import Cost, Receipt, attempt_receipt, run_cost
from userdata.bill.prices import HourlyPrice
from userdata.worker.bucket.bucket import Bucket
from userdata.worker.process.settings import Settings


class Ledger:
    """The account of an attempt on the machine of `settings`; `bucket` counts the attempt's requests.

    Of the deployed `parameters`, VolumeSize is the disk's size in GiB, and UsdPerHour a price that takes the place of
    the table's. An attempt whose machine was up already counts from `began`, any other from its boot. `earlier` are the
    receipts of the attempts before it.
    """

    def __init__(
        self,
        settings: Settings,
        bucket: Bucket,
        parameters: Mapping[str, str],
        *,
        began: datetime | None = None,
        earlier: Sequence[Receipt] = (),
    ) -> None:
        self._settings = settings
        self._began = began
        self._bucket = bucket
        self._disk_gb = float(parameters.get("VolumeSize") or 0)
        usd = float(parameters.get("UsdPerHour") or 0)
        self._price = HourlyPrice(usd=usd, source="the parameter UsdPerHour") if usd else None
        self._earlier = list(earlier)

    def cost(self, *, images: int, in_seconds: float = 0) -> Cost | None:
        """The run's cost up to now, or up to `in_seconds` from now, with `images` images done; None without a price."""
        receipt = self.receipt(in_seconds=in_seconds)
        return run_cost(self._earlier, receipt, images=images) if receipt else None

    def receipt(self, *, in_seconds: float = 0) -> Receipt | None:
        """What the attempt has cost up to now, or up to `in_seconds` from now.

        None when no price is known. Without UsdPerHour, None on a machine without a GPU too: it may not be an instance
        of the type that it calls itself, and is not billed as one.
        """
        settings = self._settings
        if settings.device == "cpu" and self._price is None:
            return None
        return attempt_receipt(
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
