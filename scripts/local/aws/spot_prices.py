"""Plausible spot prices: those of the repository's table, and a little more in each further zone.

moto offers every instance for a thousandth of a cent.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from moto.core.responses import ActionResult
from moto.ec2.responses.spot_instances import SpotInstances

from scripts.local.aws.replaced import replaced
from userdata.bill.prices import read_prices

STEP = 0.01  # US dollars an hour from zone to zone


@contextlib.contextmanager
def spot_prices_of_the_table() -> Iterator[None]:
    """Answers with the prices that the table has seen while the context lasts, and with none for other types."""
    with replaced({(SpotInstances, "describe_spot_price_history"): _history}):
        yield


def _history(response: Any) -> ActionResult:
    offerings = response.ec2_backend.describe_spot_price_history(
        response._get_param("InstanceTypes", []), response._filters_from_querystring()
    )
    seen = {name: price for name in {one["InstanceType"] for one in offerings} if (price := _seen(response, name))}
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    history = [
        {
            "InstanceType": one["InstanceType"],
            "ProductDescription": "Linux/UNIX",
            "SpotPrice": f"{seen[one['InstanceType']] + STEP * (ord(one['Location'][-1]) - ord('a')):.6f}",
            "AvailabilityZone": one["Location"],
            "Timestamp": now,
        }
        for one in offerings
        if one["InstanceType"] in seen
    ]
    return ActionResult({"SpotPriceHistory": history})


def _seen(response: Any, instance_type: str) -> float | None:
    price = read_prices().hourly(response.ec2_backend.region_name, instance_type, "spot")
    return None if price is None or price.at_most else price.usd
