"""Prices of instances: live from AWS where AWS answers, else from the dated table. Each price names its source."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config

from userdata.bill.prices import HourlyPrice, read_prices
from userdata.contract.worker_environment import LifeCycle
from userdata.worker.bucket.passing_errors import AWS_ERRORS

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_pricing import PricingClient

logger = logging.getLogger(__name__)

# The Pricing API has endpoints in three regions only, each with the prices of all.
# Source: https://docs.aws.amazon.com/awsaccountbilling/latest/aboutv2/using-price-list-query-api.html
PRICING_REGIONS = ("us-east-1", "eu-central-1", "ap-south-1")
CALLS_AT_ONCE = 8
# A price from the table will do: no command should wait long for a better one.
HASTY = Config(retries={"mode": "standard", "max_attempts": 2}, connect_timeout=3, read_timeout=10)

Prices = Mapping[tuple[str, LifeCycle], HourlyPrice]


def find_prices(
    session: boto3.Session | None, region: str, instance_types: Sequence[str], *, az: str | None = None
) -> Prices:
    """The price of each type on demand and spot, by type and life cycle. A price that nobody states is left out.

    A spot price is that of the zone `az`, else of the first zone with the type, where `sd deploy` puts the instance.
    With a session AWS is asked first. What AWS does not answer comes from the table, and without a session everything.
    """
    table = read_prices()
    found: dict[tuple[str, LifeCycle], HourlyPrice] = {}
    on_demand = _live_on_demand(session, region, instance_types) if session else {}
    spot = _of_a_zone(spot_by_zone(session, region, instance_types), az) if session else {}
    for name in instance_types:
        regular = on_demand.get(name) or table.hourly(region, name, "on-demand")
        if regular:
            found[name, "on-demand"] = regular
        cheaper = spot.get(name) or table.hourly(region, name, "spot")
        if regular and (cheaper is None or cheaper.at_most):
            cheaper = regular.model_copy(update={"at_most": True})
        elif cheaper:
            cheaper = cheaper.below(regular)
        if cheaper:
            found[name, "spot"] = cheaper
    return found


def _live_on_demand(session: boto3.Session, region: str, instance_types: Sequence[str]) -> dict[str, HourlyPrice]:
    home = region if region in PRICING_REGIONS else PRICING_REGIONS[0]
    client: PricingClient = session.client("pricing", region_name=home, config=HASTY)

    def ask(instance_type: str) -> HourlyPrice | None:
        values = {
            "regionCode": region,
            "instanceType": instance_type,
            "operatingSystem": "Linux",
            "tenancy": "Shared",
            "preInstalledSw": "NA",
            "capacitystatus": "Used",
        }
        filters: Any = [{"Type": "TERM_MATCH", "Field": name, "Value": value} for name, value in values.items()]
        answer = client.get_products(ServiceCode="AmazonEC2", Filters=filters)
        products = [json.loads(product) for product in answer["PriceList"]]
        usd = [price for product in products for price in _hourly_prices(product)]
        return HourlyPrice(usd=min(usd), source=f"AWS Price List API, {region}, today") if usd else None

    return _ask_each(ask, instance_types)


def _hourly_prices(product: Mapping[str, Any]) -> list[float]:
    """The hourly prices of one product of the price list, in US dollars. A price of 0 is for reserved capacity."""
    terms = product.get("terms", {}).get("OnDemand", {}).values()
    dimensions = [dimension for term in terms for dimension in term["priceDimensions"].values()]
    usd = [
        float(one["pricePerUnit"]["USD"]) for one in dimensions if one["unit"] == "Hrs" and "USD" in one["pricePerUnit"]
    ]
    return [price for price in usd if price > 0]


def spot_by_zone(session: boto3.Session, region: str, instance_types: Sequence[str]) -> Mapping[tuple[str, str], float]:
    """EC2's spot prices at this moment, in US dollars an hour, by type and zone; none if AWS does not state them."""
    if not instance_types:
        return {}
    client: EC2Client = session.client("ec2", region_name=region, config=HASTY)
    pages = client.get_paginator("describe_spot_price_history").paginate(
        InstanceTypes=list(instance_types),  # type: ignore[arg-type]  # names that are checked elsewhere
        ProductDescriptions=["Linux/UNIX"],
        StartTime=datetime.now(UTC),  # from now on: the price of each zone that holds at this moment
    )
    try:
        history = [one for page in pages for one in page["SpotPriceHistory"]]
    except AWS_ERRORS as error:
        logger.info("AWS does not state its spot prices: %s", error)
        return {}
    # The latest comes first.
    return {(one["InstanceType"], one["AvailabilityZone"]): float(one["SpotPrice"]) for one in reversed(history)}


def _of_a_zone(prices: Mapping[tuple[str, str], float], az: str | None) -> dict[str, HourlyPrice]:
    """Each type's price in the zone `az`, else in the first zone with the type."""
    return {
        name: HourlyPrice(usd=prices[name, zone], source=f"EC2's spot price in {zone}, today")
        for name, zone in sorted(prices, reverse=True)
        if az in (None, zone)
    }


def _ask_each(ask: Callable[[str], HourlyPrice | None], instance_types: Sequence[str]) -> dict[str, HourlyPrice]:
    """AWS's answer for each type; nothing at all if AWS refuses one, because no command should fail over a price."""
    if not instance_types:
        return {}
    first, *others = instance_types
    try:
        prices = {first: ask(first)}
        with ThreadPoolExecutor(CALLS_AT_ONCE) as pool:
            prices |= dict(zip(others, pool.map(ask, others), strict=True))
    except AWS_ERRORS as error:
        logger.info("AWS does not state its prices: %s", error)
        return {}
    return {name: price for name, price in prices.items() if price}
