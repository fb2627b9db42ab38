"""The ways that a person is shown before a batch: what AWS offers, what it costs, and which one is marked."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from scripts.command_line.fleet import offers
from scripts.command_line.fleet.ways import find_ways, print_ways
from scripts.command_line.terminal.command_error import CommandError
from tests.unit.command_line.fleet.conftest import PREFIX, Fleet
from userdata.fleet.decision import Way


def ways(fleet: Fleet, images: int = 1000, max_usd: float | None = None, machines: int | None = None) -> list[Way]:
    return find_ways(fleet.account.session, fleet.deployment, fleet.plan, images, max_usd=max_usd, machines=machines)


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
    assert way.offer.image_seconds == pytest.approx(6.9, rel=0.02)
    assert "* g6.xlarge on-demand" in shown([way]).replace("  ", " ")


def test_a_fleet_has_a_way_for_each_of_its_types_and_the_instance(fleet: Fleet) -> None:
    fleet.deploy(8)
    found = ways(fleet, 10_000)
    assert {way.offer.instance_type for way in found if way.offer.of_fleet} == {"g6.xlarge", "g5.xlarge", "g4dn.xlarge"}
    assert sum(not way.offer.of_fleet for way in found) == 1


def test_the_table_has_eighty_columns_and_says_what_its_figures_rest_on(fleet: Fleet) -> None:
    fleet.deploy(8, on_demand=50)
    said = shown(ways(fleet, 100_000))
    assert max(map(len, said.splitlines())) <= 80
    assert [line for line in said.splitlines() if "*" in line and "mixed" in line]
    assert "EC2 picks a fleet's types" in said
    assert "No way ends within MaxHours" in " ".join(said.split())


def test_a_fleet_has_no_more_machines_than_its_quotas_leave(fleet: Fleet) -> None:
    fleet.deploy(100, on_demand=100)

    def most() -> set[int]:
        return {way.offer.most for way in ways(fleet, 100_000) if way.offer.of_fleet}

    assert most() == {2}, "of 8 vCPUs, 4 each"
    fleet.autoscaling.set_desired_capacity(AutoScalingGroupName=PREFIX, DesiredCapacity=2)
    assert most() == {2}, "the fleet's own machines can draw"
    fleet.account.ec2.run_instances(ImageId="ami-12c6146b", InstanceType="g6.xlarge", MinCount=1, MaxCount=1)
    assert most() == {1}, "those of others cannot"


def test_where_no_machine_can_be_had_the_quota_is_told(fleet: Fleet) -> None:
    fleet.deploy(4, types=("g6.48xlarge",))
    fleet.account.ec2.terminate_instances(InstanceIds=[fleet.account.instance_id])
    with pytest.raises(CommandError, match=r"quota leaves the fleet none of g6.48xlarge"):
        ways(fleet)


def test_what_the_limit_does_not_pay_for_is_refused_with_what_it_would_cost(fleet: Fleet) -> None:
    fleet.deploy(InstanceType="g6.xlarge")
    assert ways(fleet, 1000, max_usd=5)
    with pytest.raises(CommandError, match=r"0.5 dollars pay for no way .* 1 g6.xlarge, costs about \$1\.[67]"):
        ways(fleet, 1000, max_usd=0.5)


def test_without_an_instance_a_batch_is_refused_unless_there_is_a_fleet(fleet: Fleet) -> None:
    fleet.deploy()
    fleet.account.ec2.terminate_instances(InstanceIds=[fleet.account.instance_id])
    with pytest.raises(CommandError, match="was terminated, so there is no machine"):
        ways(fleet)


def test_a_fleet_with_a_card_that_is_too_small_for_the_model_is_refused(fleet: Fleet) -> None:
    fleet.deploy(4, Model="flux-schnell", VolumeSize="150", InstanceType="g6e.xlarge")
    with pytest.raises(CommandError, match=r"The fleet may have g4dn.xlarge. .*-c fleet_types"):
        ways(fleet)


def test_a_card_is_too_small_in_the_precision_that_is_asked_for(fleet: Fleet) -> None:
    fleet.deploy(4, types=("g6.xlarge", "g4dn.xlarge"), Model="sdxl-base", Precision="full")
    with pytest.raises(CommandError, match=r"The fleet may have g4dn.xlarge. .*Precision=full needs 17.5 GiB"):
        ways(fleet)


def test_a_model_of_noise_has_one_machine_and_no_figures(fleet: Fleet) -> None:
    fleet.deploy(Model="tiny")
    [way] = ways(fleet)
    assert (way.machines, way.hours, way.usd, way.offer.image_seconds) == (1, None, None, None)
    assert "No speed is known" in shown([way])
    assert ways(fleet, max_usd=1)
    with pytest.raises(CommandError, match=r"0.01 dollars do not pay for the boot of a machine and its idle minutes"):
        ways(fleet, max_usd=0.01)


def test_without_a_price_no_limit_of_dollars_can_hold(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine would boot, and then begin no unit."""
    fleet.deploy()
    monkeypatch.setattr(offers, "find_prices", lambda *_, **__: {})
    assert ways(fleet)
    with pytest.raises(CommandError, match=r"What g\S+ costs an hour is not known here, .*--usd-per-hour 1.006"):
        ways(fleet, max_usd=50)


def test_a_person_may_want_another_number_of_machines(fleet: Fleet) -> None:
    fleet.deploy(2, on_demand=100)
    found = ways(fleet, 100, machines=2)
    assert {(way.machines, way.offer.of_fleet) for way in found} == {(2, True)}
    assert {way.machines for way in ways(fleet, 1, machines=2)} == {1}, "a machine draws a unit at a time"
    with pytest.raises(CommandError, match="--machines is 3, but there can be at most 2"):
        ways(fleet, 1000, machines=3)
    with pytest.raises(CommandError, match="pay for no way"):
        ways(fleet, 1000, machines=2, max_usd=0.5)
