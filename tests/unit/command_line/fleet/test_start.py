"""Starting what a way needs: the guard first, never fewer machines than somebody else asked for, at a time if asked."""

from __future__ import annotations

import io
import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from scripts.command_line.fleet import start as starting
from scripts.command_line.fleet.at import cancel_release, delete_releases, planned_for, release_at
from scripts.command_line.fleet.guard import merged
from scripts.command_line.fleet.start import start_machines
from scripts.command_line.terminal.command_error import CommandError
from tests.unit.command_line.conftest import refusal
from tests.unit.command_line.fleet.conftest import PREFIX, Fleet
from userdata.contract.work import Release
from userdata.fleet.breakers import CLOSED
from userdata.fleet.decision import Offer, Way

RUN = "a-tree-0123456789"
BODY = Release(RUN, 0).to_body()
NIGHT = datetime(2030, 1, 1, 2, tzinfo=ZoneInfo("Europe/Vienna"))


def way(machines: int, *, of_fleet: bool = True) -> Way:
    offer = Offer("g6.xlarge", "spot", 0.4, 7.0, 300.0, most=machines, of_fleet=of_fleet)
    return Way(offer, machines, 3600.0, 1.0, chosen=True)


def start(fleet: Fleet, machines: int, *, of_fleet: bool = True, yes: bool = False) -> str:
    console = Console(file=io.StringIO(), width=200)
    start_machines(fleet.account.session, fleet.deployment, way(machines, of_fleet=of_fleet), console, yes=yes)
    return console.file.getvalue()  # type: ignore[attr-defined, no-any-return]


def guards(fleet: Fleet) -> list[dict[str, Any]]:
    return fleet.autoscaling.describe_scheduled_actions()["ScheduledUpdateGroupActions"]  # type: ignore[no-any-return]


def schedules(fleet: Fleet) -> dict[str, dict[str, Any]]:
    scheduler = fleet.account.session.client("scheduler")
    names = [one["Name"] for one in scheduler.list_schedules()["Schedules"]]
    return {name.rpartition("-")[2]: dict(scheduler.get_schedule(Name=name)) for name in names}


def test_without_a_fleet_the_instance_is_started(fleet: Fleet) -> None:
    fleet.deploy()
    fleet.account.ec2.stop_instances(InstanceIds=[fleet.account.instance_id])
    assert "Started i-" in start(fleet, 1, of_fleet=False)
    assert fleet.account.state() == "running"


def test_an_instance_that_was_about_to_stop_is_started_again(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has looked into the queue for the last time, and a message starts nothing."""
    fleet.deploy()
    url = fleet.account.outputs["BatchQueue"]
    fleet.sqs.send_message(QueueUrl=url, MessageBody=BODY)
    monkeypatch.setattr(starting, "LEAVES_WITHIN_SECONDS", 5)
    stops = [True, False]

    def sleep(_: float) -> None:
        if stops.pop(0):
            fleet.account.ec2.stop_instances(InstanceIds=[fleet.account.instance_id])
        else:
            fleet.sqs.receive_message(QueueUrl=url)

    monkeypatch.setattr(time, "sleep", sleep)
    assert "Started i-" in start(fleet, 1, of_fleet=False)
    assert fleet.account.state() == "running"
    assert "Started" not in start(fleet, 1, of_fleet=False), "it has taken the message"
    assert stops == []


def test_for_a_batch_that_the_instance_draws_the_alarm_of_the_fleet_buys_nothing(fleet: Fleet) -> None:
    fleet.deploy(8)
    start(fleet, 2)
    start(fleet, 1, of_fleet=False)
    assert fleet.group["MaxSize"] == 8  # another run draws with it
    fleet.autoscaling.set_desired_capacity(AutoScalingGroupName=PREFIX, DesiredCapacity=0)
    start(fleet, 1, of_fleet=False)
    assert (fleet.group["MaxSize"], fleet.group["DesiredCapacity"]) == (0, 0)
    start(fleet, 2)
    assert (fleet.group["MaxSize"], fleet.group["DesiredCapacity"]) == (8, 2)
    fleet.autoscaling.set_desired_capacity(AutoScalingGroupName=PREFIX, DesiredCapacity=0)
    release_at(fleet.account.session, fleet.deployment, BODY, way(1, of_fleet=False), NIGHT)
    assert fleet.group["MaxSize"] == 0


def test_a_fleet_is_told_its_number_and_guarded_for_max_hours(fleet: Fleet) -> None:
    fleet.deploy(8, MaxHours="3")
    said = start(fleet, 4)
    assert "told to have 4 machines." in said
    assert (fleet.group["MinSize"], fleet.group["MaxSize"], fleet.group["DesiredCapacity"]) == (0, 8, 4)
    assert [one["ProcessName"] for one in fleet.group["SuspendedProcesses"]] == ["AZRebalance"]
    [guard] = guards(fleet)
    assert (guard["MinSize"], guard["MaxSize"], guard["DesiredCapacity"]) == (0, 0, 0)
    assert timedelta(0) <= datetime.now(UTC) + timedelta(hours=3) - guard["StartTime"] < timedelta(minutes=1)
    assert f"{guard['StartTime']:%Y-%m-%d %H:%M} UTC" in said


def test_a_larger_number_that_another_run_asked_for_stays(fleet: Fleet) -> None:
    fleet.deploy(8)
    start(fleet, 5)
    assert "5 machines, as for another run before" in start(fleet, 2)
    assert fleet.group["DesiredCapacity"] == 5
    assert len(guards(fleet)) == 1


def test_without_the_guard_no_machine_is_bought(fleet: Fleet) -> None:
    fleet.deploy(8)
    event = "before-call.autoscaling.PutScheduledUpdateGroupAction"
    fleet.account.session.events.register_first(event, refusal("AccessDenied"))
    with pytest.raises(CommandError, match="no machine of the fleet was started"):
        start(fleet, 4)
    assert fleet.group["DesiredCapacity"] == 0


def test_a_fleet_that_closed_itself_opens_after_a_yes_alone(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    fleet.deploy(8)
    fleet.autoscaling.update_auto_scaling_group(AutoScalingGroupName=PREFIX, MaxSize=0)
    fleet.account.put(CLOSED, json.dumps({"reason": "Three boots failed in a row: no disk"}).encode())
    asked: list[str] = []

    def no(question: str, **_: object) -> bool:
        asked.append(question)
        return False

    monkeypatch.setattr("typer.confirm", no)
    with pytest.raises(CommandError, match="stays closed"):
        start(fleet, 4)
    assert "Three boots failed in a row: no disk. Start" in asked[0]
    assert (fleet.group["MaxSize"], guards(fleet)) == (0, [])
    start(fleet, 4, yes=True)
    assert (fleet.group["MaxSize"], fleet.group["DesiredCapacity"]) == (8, 4)
    assert "Contents" not in fleet.account.s3.list_objects_v2(Bucket=fleet.account.bucket, Prefix=CLOSED)


def test_sizings_that_overlap_have_one_guard_at_the_later_end(fleet: Fleet) -> None:
    fleet.deploy(8, MaxHours="3")
    night = (datetime.now(UTC) + timedelta(hours=2)).replace(microsecond=0)
    release_at(fleet.account.session, fleet.deployment, BODY, way(4), night)
    start(fleet, 2)
    [guard] = guards(fleet)
    # A second later, because Auto Scaling refuses two actions for one moment.
    assert guard["StartTime"] == night + timedelta(hours=3, seconds=1)


HOURS = st.integers(0, 60).map(lambda hours: datetime(2030, 1, 1, tzinfo=UTC) + timedelta(hours=hours))


@given(st.lists(HOURS, max_size=6))
def test_no_guard_ends_the_machines_of_another_sizing(sizings: list[datetime]) -> None:
    guarded: set[tuple[datetime, datetime]] = set()
    for begins in sizings:
        span, covered = merged(begins, 12, guarded)
        guarded = (guarded - set(covered)) | {span}
    for begins in sizings:
        assert min(end for _, end in guarded if end >= begins) >= begins + timedelta(hours=12)
    assert all(end - begin <= timedelta(hours=12) * len(sizings) for begin, end in guarded)


def test_at_its_time_a_batch_is_released_and_the_instance_starts(fleet: Fleet) -> None:
    fleet.deploy()
    release_at(fleet.account.session, fleet.deployment, BODY, way(1, of_fleet=False), NIGHT)
    found = schedules(fleet)
    assert set(found) == {"release", "start"}
    assert {one["ScheduleExpression"] for one in found.values()} == {"at(2030-01-01T01:00:00)"}
    assert {one["ActionAfterCompletion"] for one in found.values()} == {"DELETE"}
    assert found["release"]["Target"]["Arn"].endswith(f":{PREFIX}-batch")
    assert found["release"]["Target"]["Input"] == BODY
    assert json.loads(found["start"]["Target"]["Input"]) == {"InstanceIds": [fleet.account.instance_id]}
    assert planned_for(fleet.account.session, fleet.deployment, RUN) == NIGHT


def test_at_its_time_a_fleet_grows_by_its_minimum_which_goes_again(fleet: Fleet) -> None:
    fleet.deploy(8, MaxHours="3")
    for _ in range(2):  # the same command again changes the plan, and adds none
        release_at(fleet.account.session, fleet.deployment, BODY, way(4), NIGHT)
    found = schedules(fleet)
    sizes = {what: json.loads(found[what]["Target"]["Input"]) for what in ("start", "settle")}
    assert sizes["start"] == {"AutoScalingGroupName": PREFIX, "MinSize": 4, "MaxSize": 8}
    assert sizes["settle"] == {"AutoScalingGroupName": PREFIX, "MinSize": 0}
    assert found["settle"]["ScheduleExpression"] == "at(2030-01-01T01:01:00)"
    assert [one["StartTime"] for one in guards(fleet)] == [NIGHT + timedelta(hours=3)]
    fleet.autoscaling.update_auto_scaling_group(**sizes["start"])
    fleet.autoscaling.update_auto_scaling_group(**sizes["settle"])
    assert (fleet.group["MinSize"], fleet.group["DesiredCapacity"]) == (0, 4)


def test_a_plan_can_be_taken_back_and_none_outlives_the_stack(fleet: Fleet) -> None:
    fleet.deploy()
    session, deployment = fleet.account.session, fleet.deployment
    release_at(session, deployment, BODY, way(1, of_fleet=False), NIGHT)
    assert cancel_release(session, deployment, RUN)
    assert schedules(fleet) == {}
    assert not cancel_release(session, deployment, RUN)
    assert planned_for(session, deployment, RUN) is None
    for digest in ("0123456789", "9876543210"):
        release_at(session, deployment, Release(f"a-{digest}", 0).to_body(), way(1, of_fleet=False), NIGHT)
    assert delete_releases(session, deployment) == 4
    assert schedules(fleet) == {}


def test_a_plan_that_aws_refuses_leaves_nothing_behind(fleet: Fleet) -> None:
    fleet.deploy()
    refuse = refusal("ServiceQuotaExceededException")

    def second(params: dict[str, Any], **more: Any) -> None:
        if params["url_path"].endswith("-release"):
            assert set(schedules(fleet)) == {"start"}
            refuse(**more)

    fleet.account.session.events.register_first("before-call.scheduler.CreateSchedule", second)
    with pytest.raises(CommandError, match="plan run"):
        release_at(fleet.account.session, fleet.deployment, BODY, way(1, of_fleet=False), NIGHT)
    assert schedules(fleet) == {}
