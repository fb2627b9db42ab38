"""What leftovers cost a month, in US dollars, by the bundle's dated table or else by AWS's pages."""

from __future__ import annotations

from dataclasses import dataclass

from userdata.bill.prices import Rates, read_prices
from userdata.bill.units import GB, HOURS_PER_MONTH
from userdata.contract.worker_environment import LifeCycle

# https://aws.amazon.com/ebs/pricing/ for us-east-1, per GB and month; io1 and io2 without their operations.
OTHER_VOLUMES = {"gp2": 0.10, "io1": 0.125, "io2": 0.125, "st1": 0.045, "sc1": 0.015, "standard": 0.05}
SNAPSHOT_GB = 0.05
# https://aws.amazon.com/cloudwatch/pricing/ for us-east-1, beyond the free five gigabytes.
LOG_GB = 0.03


@dataclass(frozen=True)
class MonthlyRates:
    """What a month costs in one region."""

    region: str

    def instance(self, instance_type: str, life_cycle: LifeCycle = "on-demand") -> float | None:
        """An instance that runs all the time, None where no price is known."""
        price = read_prices().hourly(self.region, instance_type, life_cycle)
        return None if price is None else price.usd * HOURS_PER_MONTH

    def volume(self, kind: str, gib: int) -> float:
        """A disk; a disk of an unknown type costs as much as the dearest type."""
        rate = self._table.disk_gb_month if kind == "gp3" else OTHER_VOLUMES.get(kind, max(OTHER_VOLUMES.values()))
        return gib * rate

    def snapshot(self, gib: int) -> float:
        """A snapshot of a whole disk."""
        return gib * SNAPSHOT_GB

    def address(self) -> float:
        """A public address, in use or not."""
        return self._table.address_hour * HOURS_PER_MONTH

    def alarm(self) -> float:
        """An alarm beyond the free ten."""
        return self._table.alarm_month

    def logs(self, stored_bytes: int) -> float:
        """A log group that stores that many bytes."""
        return stored_bytes / GB * LOG_GB

    def bucket(self, stored_bytes: int) -> float:
        """A bucket that stores that many bytes."""
        return stored_bytes / GB * self._table.bucket_gb_month

    @property
    def _table(self) -> Rates:
        return read_prices().rates_of(self.region)
