"""The ways that a person is shown before a batch: what AWS offers, what it costs, and which one is marked."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from scripts.command_line.fleet.ways import find_ways, print_ways, slowest_seconds
from tests.unit.command_line.fleet.conftest import Fleet
from userdata.fleet.decision import Way


def ways(fleet: Fleet, images: int = 1000, max_usd: float | None = None) -> list[Way]:
    return find_ways(fleet.account.session, fleet.deployment, fleet.plan, images, max_usd=max_usd)


def shown(found: list[Way]) -> str:
    console = Console(file=io.StringIO(), width=80)
    print_ways(found, console)
    return console.file.getvalue()  # type: ignore[attr-defined, no-any-return]


def test_without_a_fleet_the_instance_is_the_one_way(fleet: Fleet) -> None:
    fleet.deploy(InstanceType="g6.xlarge")
    [way] = ways(fleet)
    assert (way.offer.instance_type, way.offer.market, way.machines, way.chosen) == ("g6.xlarge", "on-demand", 1, True)
    assert way.hours == pytest.approx(1000 * 6.9 / 3600, rel=0.1)
    assert way.usd == pytest.approx(1000 * 6.9 / 3600 * 0.82, rel=0.2)
    assert slowest_seconds([way]) == pytest.approx(6.9, rel=0.02)
    assert "* g6.xlarge on-demand" in shown([way]).replace("  ", " ")


def test_a_fleet_has_a_way_for_each_of_its_types_and_the_instance(fleet: Fleet) -> None:
    fleet.deploy(8)
    found = ways(fleet, 10_000)
    assert {way.offer.instance_type for way in found if way.offer.of_fleet} == {"g6.xlarge", "g5.xlarge", "g4dn.xlarge"}
    assert sum(not way.offer.of_fleet for way in found) == 1
