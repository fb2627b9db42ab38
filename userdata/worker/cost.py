"""What a run cost, as far as the instance's time goes; from a dated table of prices in the bundle."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

from pydantic import BaseModel

PRICES = Path(__file__).parent.parent / "prices.json"


class Cost(BaseModel):
    """US dollars for the instance from its boot to the end of the run; without disk, address and transfers."""

    usd: float
    usd_per_hour: float
    hours: float
    instance_type: str
    source: str


def instance_cost(
    *, region: str, instance_type: str, began: datetime, ended: datetime, prices: Path = PRICES
) -> Cost | None:
    """The cost of `instance_type` between two times, or None where the table has no price for it."""
    table = json.loads(prices.read_text("utf-8"))
    usd_per_hour = table["usd_per_hour"].get(region, {}).get(instance_type)
    if usd_per_hour is None:
        return None
    hours = (ended - began).total_seconds() / 3600
    return Cost(
        usd=round(usd_per_hour * hours, 4),
        usd_per_hour=usd_per_hour,
        hours=round(hours, 4),
        instance_type=instance_type,
        source=f"{table['source']}, {region}, {table['captured']}",
    )
