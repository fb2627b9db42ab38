"""`sd stop`, `sd status` and `sd teardown` know the fleet: what costs money is named, and ends."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta

import pytest
import typer
from rich.console import Console

from scripts.command_line.ending import stop
from scripts.command_line.ending.stop import stop_everything
from scripts.command_line.ending.teardown import teardown
from scripts.command_line.fleet.at import release_at
from scripts.command_line.fleet.stop import fleet_in_words, stop_fleet
from scripts.command_line.terminal.command_error import CommandError
from tests.unit.command_line.fleet.conftest import PREFIX, Fleet
from userdata.contract.work import Release
from userdata.fleet.decision import Offer, Way


def grow(fleet: Fleet, machines: int) -> None:
    fleet.deploy(8, on_demand=100)
    fleet.autoscaling.set_desired_capacity(AutoScalingGroupName=PREFIX, DesiredCapacity=machines)


def test_a_stop_ends_all_machines_and_lets_none_start_again(fleet: Fleet) -> None:
    grow(fleet, 2)
    told = stop_fleet(fleet.account.session, fleet.deployment)
    assert told
    assert told.startswith("The fleet's 2 machines will end in some minutes, which saves about $1.61 an hour.")
    assert (fleet.group["MaxSize"], fleet.group["DesiredCapacity"], fleet.group["Instances"]) == (0, 0, [])
    assert "Nothing to do" in str(stop_fleet(fleet.account.session, fleet.deployment))
    assert fleet_in_words(fleet.account.session, fleet.deployment)[0].startswith("The fleet is shut: of its 8 machines")


def test_a_status_names_the_machines(fleet: Fleet) -> None:
    grow(fleet, 6)
    [told] = fleet_in_words(fleet.account.session, fleet.deployment)
    assert told.startswith("The fleet may have 8 machines, and was told to have 6. It has 6, of which 6 work: i-")
    assert told.count("(g6.xlarge)") == 5
    assert told.endswith(" and 1 more.")


def test_a_fleet_that_cannot_be_asked_keeps_no_instance_running(fleet: Fleet) -> None:
    grow(fleet, 1)
    fleet.autoscaling.delete_auto_scaling_group(AutoScalingGroupName=PREFIX, ForceDelete=True)
    told: list[str] = []
    with pytest.raises(CommandError, match="The fleet sd-.* is gone"):
        stop_everything(fleet.account.session, fleet.deployment, terminate=False, yes=True, tell=told.append)
    assert told[1].startswith("Stopped i-")
    assert fleet.account.state() == "stopped"
    assert "is gone" in fleet_in_words(fleet.account.session, fleet.deployment)[0]


def test_a_stop_that_cuts_something_off_asks_whoever_can_answer(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    grow(fleet, 2)
    asked = []
    monkeypatch.setattr(stop, "is_somebody_there", lambda: True)
    monkeypatch.setattr(typer, "confirm", lambda question, err: asked.append(question))
    told: list[str] = []
    with pytest.raises(CommandError, match="Nothing was stopped"):
        stop_everything(fleet.account.session, fleet.deployment, terminate=False, yes=False, tell=told.append)
    assert (fleet.group["DesiredCapacity"], fleet.account.state(), told) == (2, "running", [])
    (question,) = asked
    assert question.startswith("This cuts off run ")
    assert "2 machines of the fleet will end, with what they draw. Stop?" in question
    # Where nobody can answer, it says so and stops: a machine that goes on costs money.
    monkeypatch.setattr(stop, "is_somebody_there", lambda: False)
    stop_everything(fleet.account.session, fleet.deployment, terminate=False, yes=False, tell=told.append)
    assert (fleet.group["DesiredCapacity"], fleet.account.state(), len(asked)) == (0, "stopped", 1)
    assert told[0] == question.removesuffix(" Stop?")


def test_a_stack_without_a_fleet_says_nothing_of_one(fleet: Fleet) -> None:
    fleet.deploy()
    assert stop_fleet(fleet.account.session, fleet.deployment) is None
    assert fleet_in_words(fleet.account.session, fleet.deployment) == []


def test_a_teardown_tells_of_the_machines_and_leaves_no_schedule(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    grow(fleet, 3)
    way = Way(Offer("g6.xlarge", "spot", 0.4, 7.0, 300.0, of_fleet=True), 1, 3600.0, 1.0)
    body = Release("a-0123456789", 0).to_body()
    release_at(fleet.account.session, fleet.deployment, body, way, datetime.now(UTC) + timedelta(hours=1))
    scheduler = fleet.account.session.client("scheduler")
    assert len(scheduler.list_schedules()["Schedules"]) == 3
    asked: list[str] = []

    def yes(question: str, **_: object) -> bool:
        asked.append(question)
        return True

    monkeypatch.setattr("typer.confirm", yes)

    def destroy(session: object, stack: str) -> None:
        fleet.account.session.client("cloudformation").delete_stack(StackName=stack)
        fleet.autoscaling.delete_auto_scaling_group(AutoScalingGroupName=PREFIX, ForceDelete=True)

    teardown(
        fleet.account.session,
        stack="SdOnEc2",
        yes=False,
        audit_only=False,
        console=Console(file=io.StringIO()),
        destroy=destroy,
    )
    assert "3 machines of the fleet will end, with what they draw." in asked[0]
    assert scheduler.list_schedules()["Schedules"] == []
