"""Prices of instances: live from AWS where it answers, else the dated table in the repository. Each says which."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import boto3
import botocore.exceptions
from botocore.config import Config

from userdata.bill.prices import HourlyPrice, PriceTable, read_prices
from userdata.contract.worker_environment import LifeCycle

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_pricing import PricingClient

logger = logging.getLogger(__name__)

# The Pricing API has endpoints in three regions only, each with the prices of all.
# Source: https://docs.aws.amazon.com/awsaccountbilling/latest/aboutv2/using-price-list-query-api.html
PRICING_REGIONS = ("us-east-1", "eu-central-1", "ap-south-1")
CALLS_AT_ONCE = 8
# A price from the table will do: nobody should wait long for a better one.
HASTY = Config(retries={"mode": "standard", "max_attempts": 2}, connect_timeout=3, read_timeout=10)

Prices = Mapping[tuple[str, LifeCycle], HourlyPrice]


def find_prices(session: boto3.Session | None, region: str, instance_types: Sequence[str]) -> Prices:
    """The price of each type on demand and spot, by type and life cycle; what nobody states is left out.

    With a session AWS is asked; what it does not answer comes from the table, and so does everything without one.
    """
    table = read_prices()
    found: dict[tuple[str, LifeCycle], HourlyPrice] = {}
    on_demand = _live_on_demand(session, region, instance_types) if session else {}
    spot = _live_spot(session, region, instance_types) if session else {}
    for name in instance_types:
        regular = on_demand.get(name) or table.hourly(region, name, "on-demand")
        if regular:
            found[name, "on-demand"] = regular
        cheaper = spot.get(name) or _spot_from_table(table, region, name, regular)
        if cheaper:
            found[name, "spot"] = cheaper
    return found


def _spot_from_table(
    table: PriceTable, region: str, instance_type: str, on_demand: HourlyPrice | None
) -> HourlyPrice | None:
    seen = table.hourly(region, instance_type, "spot")
    if seen and not seen.at_most:
        return seen
    return on_demand and on_demand.model_copy(update={"at_most": True})


def _live_on_demand(session: boto3.Session, region: str, instance_types: Sequence[str]) -> dict[str, HourlyPrice]:
    home = region if region in PRICING_REGIONS else PRICING_REGIONS[0]
    client: PricingClient = session.client("pricing", region_name=home, config=HASTY)

    def ask(instance_type: str) -> HourlyPrice | None:
        answer = client.get_products(ServiceCode="AmazonEC2", Filters=_filters(region, instance_type))
        products = [json.loads(product) for product in answer["PriceList"]]
        usd = [price for product in products for price in _hourly_prices(product)]
        return HourlyPrice(usd=min(usd), source=f"AWS Price List API, {region}, today") if usd else None

    return _ask_each(ask, instance_types)


def _filters(region: str, instance_type: str) -> Any:
    values = {
        "regionCode": region,
        "instanceType": instance_type,
        "operatingSystem": "Linux",
        "tenancy": "Shared",
        "preInstalledSw": "NA",
        "capacitystatus": "Used",
    }
    return [{"Type": "TERM_MATCH", "Field": name, "Value": value} for name, value in values.items()]


def _hourly_prices(product: Mapping[str, Any]) -> list[float]:
    """The prices in US dollars an hour of one product of the price list; 0 is the price of what was reserved."""
    terms = product.get("terms", {}).get("OnDemand", {}).values()
    dimensions = [dimension for term in terms for dimension in term["priceDimensions"].values()]
    usd = [
        float(one["pricePerUnit"]["USD"]) for one in dimensions if one["unit"] == "Hrs" and "USD" in one["pricePerUnit"]
    ]
    return [price for price in usd if price > 0]


def _live_spot(session: boto3.Session, region: str, instance_types: Sequence[str]) -> dict[str, HourlyPrice]:
    client: EC2Client = session.client("ec2", region_name=region, config=HASTY)

    def ask(instance_type: str) -> HourlyPrice | None:
        # From now on: the price of each zone that holds at this moment.
        answer = client.describe_spot_price_history(
            InstanceTypes=[instance_type],  # type: ignore[list-item]  # a name that is checked elsewhere
            ProductDescriptions=["Linux/UNIX"],
            StartTime=datetime.now(UTC),
        )
        current = {one["AvailabilityZone"]: float(one["SpotPrice"]) for one in reversed(answer["SpotPriceHistory"])}
        if not current:
            return None
        zone = min(current, key=lambda name: (current[name], name))
        return HourlyPrice(usd=current[zone], source=f"EC2's spot price in {zone}, today")

    return _ask_each(ask, instance_types)


def _ask_each(ask: Callable[[str], HourlyPrice | None], instance_types: Sequence[str]) -> dict[str, HourlyPrice]:
    """What AWS answers for each type; nothing once it refuses the first, since a price is no reason to fail."""
    if not instance_types:
        return {}
    first, *others = instance_types
    try:
        prices = {first: ask(first)}
        with ThreadPoolExecutor(CALLS_AT_ONCE) as pool:
            prices |= dict(zip(others, pool.map(ask, others), strict=True))
    except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError) as error:
        logger.info("AWS does not state its prices: %s", error)
        return {}
    return {name: price for name, price in prices.items() if price}
