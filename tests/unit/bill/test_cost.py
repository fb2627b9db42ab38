"""The receipt's arithmetic, by hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from userdata.bill.cost import Cost, Receipt, Requests, attempt_receipt, earlier_receipts, run_cost

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def receipt(**changed: Any) -> Receipt:
    given = {
        "instance_id": "i-1",
        "instance_type": "g5.xlarge",
        "region": "us-east-1",
        "life_cycle": "on-demand",
        "began": NOON,
        "ended": NOON + timedelta(minutes=15),
        "disk_gb": 100.0,
        "requests": Requests(put=1000, get=500),
    }
    made = attempt_receipt(**{**given, **changed})
    assert made is not None
    return made


def test_a_quarter_of_an_hour_of_the_article_s_instance() -> None:
    made = receipt()
    assert [(line.item, line.quantity, line.usd_per_unit, line.usd) for line in made.lines] == [
        ("instance", 0.25, 1.006, 0.2515),
        ("disk", round(100 * 0.25 / 730, 6), 0.08, round(100 * 0.25 / 730 * 0.08, 6)),
        ("address", 0.25, 0.005, 0.00125),
        ("requests", 1000, 0.000005, 0.005),
        ("requests", 500, 0.0000004, 0.0002),
    ]
    assert made.usd == pytest.approx(0.2515 + 0.00274 + 0.00125 + 0.005 + 0.0002, abs=1e-6)
    assert not made.at_most
    assert "2026-08-17" in made.source


def test_an_instance_is_billed_for_a_minute_at_the_least() -> None:
    made = receipt(ended=NOON + timedelta(seconds=6))
    assert made.lines[0].quantity == pytest.approx(1 / 60, abs=1e-6)
    assert made.lines[2].quantity == pytest.approx(6 / 3600, abs=1e-6)


def test_spot_has_its_own_price_or_an_upper_bound() -> None:
    assert (receipt(life_cycle="spot").lines[0].usd_per_unit, receipt(life_cycle="spot").at_most) == (0.42, False)
    unseen = receipt(life_cycle="spot", instance_type="g4dn.xlarge")
    assert (unseen.lines[0].usd_per_unit, unseen.at_most) == (0.526, True)


def test_a_spot_receipt_says_what_it_can_be_at_most() -> None:
    spot, on_demand = receipt(life_cycle="spot"), receipt()
    assert spot.usd < on_demand.usd
    assert spot.usd_at_most == on_demand.usd_at_most == on_demand.usd
    before = spot.model_copy(update={"usd_at_most": None})
    assert run_cost([before.model_copy(update={"instance_id": "i-0"})], spot, images=1).usd_at_most == pytest.approx(
        spot.usd + on_demand.usd
    )


def test_without_a_price_there_is_no_receipt() -> None:
    nothing = attempt_receipt(
        instance_id="i-1",
        instance_type="p9.huge",
        region="us-east-1",
        life_cycle="on-demand",
        began=NOON,
        ended=NOON,
        disk_gb=100,
        requests=Requests(),
    )
    assert nothing is None


def test_attempts_add_up_and_a_boot_counts_once() -> None:
    first, again = receipt(), receipt(ended=NOON + timedelta(minutes=20))
    second = receipt(began=NOON + timedelta(hours=1), ended=NOON + timedelta(hours=2))
    cost = run_cost([first], again, images=0)
    assert (cost.attempts, cost.usd_per_image) == ([again], None)
    cost = run_cost(cost.attempts, second, images=4)
    assert cost.attempts == [again, second]
    assert cost.usd == pytest.approx(again.usd + second.usd)
    assert cost.usd_per_image == pytest.approx(cost.usd / 4, abs=1e-6)


def test_what_was_written_is_read_again() -> None:
    cost: Cost = run_cost([], receipt(), images=3)
    report = f'{{"schema": 1, "cost": {cost.model_dump_json()}}}'.encode()
    assert earlier_receipts(report) == cost.attempts


@pytest.mark.parametrize("report", [None, b"{half", b"{}", b'{"cost": null}', b'{"cost": {"usd": 0.25}}', b"[]"])
def test_an_older_or_a_broken_report_has_no_receipts(report: bytes | None) -> None:
    assert earlier_receipts(report) == []
