"""The dated table of prices in the bundle, for the instance that writes receipts and for whoever estimates them.

On AWS's bills a GB is 2^30 bytes, and so it is here.
"""

from __future__ import annotations

import functools
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from userdata.contract.bundle import BUNDLE
from userdata.contract.worker_environment import LifeCycle

# The region whose rates for disk, address and bucket are known, and serve for the others.
RATES_REGION = "us-east-1"


class HourlyPrice(BaseModel):
    """US dollars an hour for an instance, and where the figure is from.

    `at_most` is set where the true price is not known but cannot be higher. `ceiling` is what an hour may cost at most
    where that is more than `usd`: a spot price that was seen can rise.
    """

    model_config = ConfigDict(frozen=True, defer_build=True)

    usd: float
    source: str
    at_most: bool = False
    ceiling: float | None = None

    @property
    def highest(self) -> float:
        """The most that an hour may cost, in US dollars."""
        return self.usd if self.ceiling is None else self.ceiling

    def below(self, on_demand: HourlyPrice | None) -> HourlyPrice:
        """The same spot price, which can rise to the on-demand price."""
        return self if on_demand is None else self.model_copy(update={"ceiling": max(self.usd, on_demand.usd)})


class Rates(BaseModel):
    """US dollars for what an instance needs besides itself, and where the figures are from."""

    model_config = ConfigDict(frozen=True, defer_build=True)

    disk_gb_month: float
    address_hour: float
    bucket_gb_month: float
    put_request: float
    get_request: float
    alarm_month: float
    source: str


class _Hourly(BaseModel, defer_build=True):
    captured: str
    source: str
    usd_per_hour: dict[str, dict[str, float]]


class _Other(BaseModel, defer_build=True):
    captured: str
    source: str
    usd: dict[str, dict[str, float]]


class PriceTable(BaseModel, defer_build=True):
    """The table: captures of prices, each with its date and its source; an earlier one goes before a later one."""

    on_demand: list[_Hourly]
    spot: list[_Hourly]
    rates: list[_Other]

    def hourly(self, region: str, instance_type: str, life_cycle: LifeCycle) -> HourlyPrice | None:
        """What an instance of that type costs an hour, or None where the table does not say.

        A spot price that was never seen is at most the on-demand price: without a maximum of one's own, EC2 asks no
        more for a spot instance.
        Source: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/using-spot-instances.html
        """
        on_demand = _find(self.on_demand, region, instance_type)
        if life_cycle == "on-demand":
            return on_demand
        seen = _find(self.spot, region, instance_type)
        return seen.below(on_demand) if seen else on_demand and on_demand.model_copy(update={"at_most": True})

    def rates_of(self, region: str) -> Rates:
        """The rates of a region; those of us-east-1, with a word in `source`, where the table has none."""
        known = region if any(region in capture.usd for capture in self.rates) else RATES_REGION
        captures = [capture for capture in self.rates if known in capture.usd]
        figures = {name: usd for capture in captures for name, usd in capture.usd[known].items()}
        source = "; ".join(f"{capture.source}, {known}, {capture.captured}" for capture in captures)
        if known != region:
            source += f"; {region} itself may differ"
        return Rates(**figures, source=source)


def _find(captures: list[_Hourly], region: str, instance_type: str) -> HourlyPrice | None:
    for capture in captures:
        usd = capture.usd_per_hour.get(region, {}).get(instance_type)
        if usd is not None:
            return HourlyPrice(usd=usd, source=f"{capture.source}, {region}, {capture.captured}")
    return None


@functools.cache
def read_prices(path: Path = BUNDLE.prices) -> PriceTable:
    """The table in that file."""
    return PriceTable.model_validate_json(path.read_text("utf-8"))
