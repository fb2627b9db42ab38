"""The receipt of a run: what its attempts cost, item by item, at the prices of the table in the bundle."""

from __future__ import annotations

import logging
from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ValidationError

from userdata.bill.prices import HourlyPrice, Rates, read_prices
from userdata.bill.units import HOUR, MONTH
from userdata.contract.outside import read_json
from userdata.contract.worker_environment import LifeCycle

logger = logging.getLogger(__name__)

# EC2 bills Linux instances by the second, a minute at the least.
# Source: https://aws.amazon.com/ec2/pricing/on-demand/
SHORTEST_BILLED = 60.0


class Requests(BaseModel, defer_build=True):
    """Requests to S3, as it prices them: listing counts as putting."""

    put: int = 0
    get: int = 0


class ReceiptLine(BaseModel, defer_build=True):
    """One item: so much of it, in its unit, at so many US dollars for each."""

    item: Literal["instance", "disk", "address", "requests"]
    quantity: float
    unit: str
    usd_per_unit: float
    usd: float


class Receipt(BaseModel, defer_build=True):
    """What one attempt cost, from the beginning of its boot to its end (UTC, ISO 8601).

    `at_most` is set where the instance's price is an upper bound. `usd_at_most` is what the attempt can have cost when
    the price rose: more than `usd` on a spot instance whose price was only seen, and None in receipts of before.
    `source` says where the prices are from.
    """

    instance_id: str
    instance_type: str
    region: str
    life_cycle: LifeCycle
    began: datetime
    ended: datetime
    usd: float
    at_most: bool
    usd_at_most: float | None = None
    lines: list[ReceiptLine]
    source: str


class Cost(BaseModel, defer_build=True):
    """What a run cost: all its attempts together, in US dollars, and for each image that is there.

    `usd_per_image` is None as long as there is no image. Not in it: the idle time after the last image, the disk while
    the instance is stopped, and the bucket.
    """

    usd: float
    usd_per_image: float | None
    images: int
    attempts: list[Receipt]

    @property
    def usd_at_most(self) -> float:
        """What the run can have cost at most, in US dollars: no spot price is above the on-demand price."""
        return round(sum(one.usd if one.usd_at_most is None else one.usd_at_most for one in self.attempts), 6)


def attempt_receipt(
    *,
    instance_id: str,
    instance_type: str,
    region: str,
    life_cycle: LifeCycle,
    began: datetime,
    ended: datetime,
    disk_gb: float,
    requests: Requests,
    price: HourlyPrice | None = None,
    starts_machine: bool = True,
) -> Receipt | None:
    """The receipt of one attempt, or None where no price is given and the table has none for the instance.

    AWS's shortest time counts for an attempt that `starts_machine`, and not for one on a machine that was up already.
    Of disk and address only the time of the attempt is counted. `disk_gb` is the volume's size in GiB.
    """
    table = read_prices()
    price = price or table.hourly(region, instance_type, life_cycle)
    if price is None:
        return None
    rates = table.rates_of(region)
    seconds = max(0.0, (ended - began).total_seconds())
    billed = max(seconds, SHORTEST_BILLED) if starts_machine else seconds
    lines = [
        _line("instance", billed / HOUR, "hour", price.usd),
        _line("disk", disk_gb * seconds / MONTH, "GB-month", rates.disk_gb_month),
        _line("address", seconds / HOUR, "hour", rates.address_hour),
        *_requests(requests, rates),
    ]
    usd = round(sum(line.usd for line in lines), 6)
    return Receipt(
        instance_id=instance_id,
        instance_type=instance_type,
        region=region,
        life_cycle=life_cycle,
        began=began,
        ended=ended,
        usd=usd,
        at_most=price.at_most,
        usd_at_most=round(usd + billed / HOUR * (price.highest - price.usd), 6),
        lines=lines,
        source=f"{price.source}; {rates.source}",
    )


def _requests(requests: Requests, rates: Rates) -> list[ReceiptLine]:
    return [
        _line("requests", requests.put, "PUT or LIST", rates.put_request),
        _line("requests", requests.get, "GET", rates.get_request),
    ]


def _line(
    item: Literal["instance", "disk", "address", "requests"], quantity: float, unit: str, usd: float
) -> ReceiptLine:
    return ReceiptLine(
        item=item, quantity=round(quantity, 6), unit=unit, usd_per_unit=usd, usd=round(quantity * usd, 6)
    )


def run_cost(earlier: list[Receipt], latest: Receipt, *, images: int) -> Cost:
    """The cost of a run whose latest attempt is `latest`, with `images` images so far.

    An earlier receipt for the same boot of the same instance is replaced, since both begin with that boot.
    """
    boot = (latest.instance_id, latest.began)
    attempts = [*(one for one in earlier if (one.instance_id, one.began) != boot), latest]
    usd = round(sum(one.usd for one in attempts), 6)
    return Cost(usd=usd, usd_per_image=round(usd / images, 6) if images else None, images=images, attempts=attempts)


def earlier_receipts(report: bytes | None) -> list[Receipt]:
    """The receipts in a run's `report.json` of before; none, with a word in the log, when it cannot be read."""
    if report is None:
        return []
    try:
        cost = read_json(report)["cost"]
        return Cost.model_validate(cost).attempts if cost else []
    except (ValueError, KeyError, TypeError, ValidationError) as error:
        logger.info("The receipts of earlier attempts are not known: %s", error)
        return []
