"""The simulation behind docs/scaling.md: it draws every image, pays for every second, and stops where a fleet would."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.scaling import simulate
from benchmarks.simulated_fleet import CALM, Batch, Outcome, Weather
from userdata.fleet.breakers import FAILURES
from userdata.fleet.decision import Offer, Work, way_of

OFFER = Offer("g6.xlarge", "spot", 0.4, 7.0, 260.0, most=500, of_fleet=True)
FIGURES = Path(__file__).parents[3] / "docs" / "scaling" / "figures.json"


def outcome(machines: int, weather: Weather = CALM, *, images: int = 400, seed: int = 1, hours: float = 12) -> Outcome:
    work = Work(images=images, unit_images=8, idle_seconds=120, max_usd=None, end_within=3600 * hours)
    return Batch(way_of(OFFER, work, machines), work, weather, 0.8, seed).run()


def test_without_losses_it_comes_to_what_the_decision_expects() -> None:
    work = Work(images=4000, unit_images=8, idle_seconds=120, max_usd=None, end_within=1e9)
    way = way_of(OFFER, work, 10)
    found = outcome(10, images=4000)
    assert found.ended == pytest.approx(way.seconds, rel=0.05)
    assert found.usd == pytest.approx(way.usd, rel=0.05)
    assert found.wasted == pytest.approx(10 * 380 / 3600 * 0.4, rel=0.3)
    assert (found.launches, found.most, found.units_left) == (10, 10, 0)


@settings(max_examples=20)
@given(st.integers(1, 40), st.floats(0, 3), st.floats(0, 3), st.floats(0, 0.3), st.booleans(), st.integers(0, 99))
def test_whatever_happens_each_unit_is_drawn_or_left_and_no_machine_too_many(
    machines: int, single: float, pool: float, failing: float, fallback: bool, seed: int
) -> None:
    weather = Weather("any", single, pool, failing, fallback)
    found = outcome(machines, weather, seed=seed)
    assert found.most <= machines
    assert found.units_left == 0 or failing
    assert 0 < found.wasted <= found.usd
    drawn = (50 - found.units_left) * 8 * 7
    assert found.usd - found.wasted >= 0.8 * drawn / 3600 * 0.4
    assert found == outcome(machines, weather, seed=seed), "the same seed tells the same story"


def test_a_unit_of_a_lost_machine_is_drawn_by_another() -> None:
    found = outcome(10, Weather("losses", single_losses=4.0))
    assert found.losses > 0
    assert found.units_left == 0
    assert found.launches == 10 + found.losses


def test_boots_that_all_fail_close_the_fleet_and_the_guard_ends_it() -> None:
    failing = outcome(1, Weather("none boots", failing_boots=1.0))
    assert (failing.launches, failing.units_left) == (FAILURES, 50)
    cut = outcome(1, hours=0.5)
    assert cut.units_left > 0
    assert cut.usd == pytest.approx(0.5 * 0.4)


def test_the_page_shows_the_figures_that_the_program_makes() -> None:
    kept = [row for row in json.loads(FIGURES.read_text())["rows"] if row["images"] == 1000 and row["most"] == 10]
    assert kept == [json.loads(json.dumps({"plot": "sizes"} | simulate(1000, 10, CALM)))]
