from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from userdata.worker.cost import instance_cost

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def test_articles_instance_for_a_quarter_of_an_hour() -> None:
    cost = instance_cost(region="us-east-1", instance_type="g5.xlarge", began=NOON, ended=NOON + timedelta(minutes=15))
    assert cost is not None
    assert (cost.usd, cost.usd_per_hour, cost.hours) == (0.2515, 1.006, 0.25)
    assert "us-east-1" in cost.source
    assert "2026-08-17" in cost.source


@pytest.mark.parametrize(("region", "instance_type"), [("eu-north-1", "g5.xlarge"), ("us-east-1", "p9.huge")])
def test_unknown_price_is_no_price(region: str, instance_type: str) -> None:
    assert instance_cost(region=region, instance_type=instance_type, began=NOON, ended=NOON) is None
