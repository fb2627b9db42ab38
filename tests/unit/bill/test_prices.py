"""The table says what its sources say, and admits what it does not know."""

from __future__ import annotations

import pytest

from stacks.facts.instance_types import INSTANCE_TYPES
from userdata.bill.prices import read_prices

TABLE = read_prices()


def test_every_price_is_a_supported_type_s_and_makes_sense() -> None:
    for capture in [*TABLE.on_demand, *TABLE.spot]:
        for region, prices in capture.usd_per_hour.items():
            assert set(prices) <= set(INSTANCE_TYPES), region
            assert all(0.1 < usd < 250 for usd in prices.values()), region


@pytest.mark.parametrize(
    ("instance_type", "usd"), [("g4dn.xlarge", 0.526), ("g5.xlarge", 1.006), ("g6.xlarge", 0.8048)]
)
def test_the_price_list_s_own_capture_goes_first(instance_type: str, usd: float) -> None:
    price = TABLE.hourly("us-east-1", instance_type, "on-demand")
    assert price is not None
    assert (price.usd, price.at_most) == (usd, False)
    assert price.source == "AWS Price List API: on-demand, Linux, shared tenancy, us-east-1, 2026-08-17"


def test_other_types_and_regions_come_from_the_later_capture() -> None:
    price = TABLE.hourly("eu-central-1", "g5.xlarge", "on-demand")
    assert price is not None
    assert price.source.endswith("eu-central-1, 2026-01-21")


def test_a_spot_price_that_was_seen_is_below_on_demand() -> None:
    for capture in TABLE.spot:
        for region, prices in capture.usd_per_hour.items():
            for instance_type, usd in prices.items():
                on_demand = TABLE.hourly(region, instance_type, "on-demand")
                spot = TABLE.hourly(region, instance_type, "spot")
                assert on_demand and spot
                assert spot.usd == usd < on_demand.usd
                assert not spot.at_most
                assert spot.highest == on_demand.usd == on_demand.highest


def test_a_spot_price_that_was_never_seen_is_at_most_on_demand() -> None:
    price = TABLE.hourly("us-east-1", "g6e.xlarge", "spot")
    assert price is not None
    assert (price.usd, price.at_most) == (1.861, True)


@pytest.mark.parametrize(("region", "instance_type"), [("mars-north-1", "g5.xlarge"), ("us-east-1", "p9.huge")])
def test_what_the_table_does_not_say_is_no_price(region: str, instance_type: str) -> None:
    assert TABLE.hourly(region, instance_type, "on-demand") is None
    assert TABLE.hourly(region, instance_type, "spot") is None


def test_rates_of_another_region_say_whose_they_are() -> None:
    assert TABLE.rates_of("us-east-1").disk_gb_month == 0.08
    assert "may differ" not in TABLE.rates_of("us-east-1").source
    assert TABLE.rates_of("eu-west-1").source.endswith("eu-west-1 itself may differ")
