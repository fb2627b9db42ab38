from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from userdata.fleet.breakers import BOOTED, FAILED, LOST, ON_DEMAND, SPOT, boots_fail, goes_back_to_spot, spot_is_lost
from userdata.fleet.market import PARAMETER, Market

START = datetime(2026, 11, 29, 16, tzinfo=UTC)


def told(*keys: str, minutes: float = 1) -> dict[str, datetime]:
    return {key: START + timedelta(minutes=minutes * number) for number, key in enumerate(keys)}


@pytest.mark.parametrize(
    ("keys", "closes"),
    [
        ((), False),
        ((f"{FAILED}c", f"{FAILED}b"), False),
        ((f"{FAILED}c", f"{FAILED}b", f"{FAILED}a"), True),
        ((BOOTED, f"{FAILED}c", f"{FAILED}b", f"{FAILED}a"), True),
        ((f"{FAILED}c", BOOTED, f"{FAILED}b", f"{FAILED}a"), False),
        ((f"{FAILED}c", f"{FAILED}b", f"{FAILED}a", BOOTED), False),
        ((f"{FAILED}c", f"{FAILED}b", f"{LOST}a", ON_DEMAND, f"{FAILED}a"), True),
    ],
)
def test_three_failures_in_a_row_close_the_fleet_by_the_times_of_s3(keys: tuple[str, ...], closes: bool) -> None:
    assert boots_fail(told(*keys)) is closes


@pytest.mark.parametrize(("minutes", "moves"), [(15, True), (15.1, False)])
def test_two_losses_within_a_quarter_of_an_hour_move_the_fleet(minutes: float, moves: bool) -> None:
    assert spot_is_lost(told(f"{LOST}b", f"{LOST}a", minutes=minutes)) is moves
    assert not spot_is_lost(told(f"{LOST}b", FAILED))


def test_the_fleet_goes_back_after_half_an_hour_and_once() -> None:
    def after(minutes: float) -> datetime:
        return START + timedelta(minutes=minutes)

    assert not goes_back_to_spot({}, after(60))
    assert not goes_back_to_spot(told(ON_DEMAND), after(29.9))
    assert goes_back_to_spot(told(ON_DEMAND), after(30))
    assert not goes_back_to_spot(told(ON_DEMAND, SPOT), after(60))
    assert goes_back_to_spot(told(SPOT, ON_DEMAND), after(60))  # it moved again


@pytest.mark.parametrize("market", [Market(0), Market(100, fallback=True), Market(7, fallback=True)])
def test_a_machine_reads_the_market_that_was_deployed(market: Market) -> None:
    assert Market.read({PARAMETER: market.to_text()}) == market
    assert Market.read({}) is None
