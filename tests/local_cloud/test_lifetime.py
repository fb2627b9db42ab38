"""The guard outside: the template's own alarm and schedule, on a clock that is moved, over machines that hang.

Their user data never ends: no worker was ever started, nothing powers them off, and no timer in them is armed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from scripts.local.local_cloud import LocalCloud
from tests.local_cloud.conftest import Stack, hanging, left_of, until
from tests.synth.conftest import AUDITED

pytestmark = pytest.mark.local_cloud


@pytest.fixture(scope="session")
def spot_template(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return hanging(tmp_path_factory.mktemp("assembly"), **AUDITED["spot"])


@pytest.fixture
def hung(stack: Stack, template: dict[str, Any]) -> Iterator[Hung]:
    yield Hung(stack, template, MaxHours="2")


class Hung:
    """A deployed instance that hangs, and the time around it."""

    def __init__(self, stack: Stack, template: dict[str, Any], **parameters: str) -> None:
        named = {**template, "Resources": {**template["Resources"]}}
        for name, resource in template["Resources"].items():
            if resource["Type"] == "AWS::EC2::KeyPair":  # a name is there once only, and the CDK gives it for its own
                named["Resources"][name] = {**resource, "Properties": {"KeyName": stack.name}}
        stack.create(named, **parameters)
        self._stack = stack
        (self.id,) = [
            stack.physical_id(name) for name, one in template["Resources"].items() if one["Type"].endswith("::Instance")
        ]
        self._stack.until_state("running", self.id)

    def pass_time(self, *, hours: float = 0, minutes: float = 0) -> None:
        self._stack.cloud.clock.pass_time(hours=hours, minutes=minutes)

    @property
    def state(self) -> str:
        """What EC2 tells once a change that is under way is over."""

        def settled() -> str | None:
            state = str(self._stack.instance(self.id)["State"]["Name"])
            return None if state in ("pending", "stopping", "shutting-down") else state

        return str(until(settled, f"{self.id} settles"))

    def alarms(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._stack.cloud.client("cloudwatch").describe_alarms()["MetricAlarms"]
        return found

    def start(self) -> None:
        self._stack.cloud.client("ec2").start_instances(InstanceIds=[self.id])
        self._stack.until_state("running", self.id)


def test_it_stops_a_machine_that_never_worked_after_max_hours_and_not_before(hung: Hung) -> None:
    hung.pass_time(hours=1, minutes=50)
    assert hung.state == "running"
    hung.pass_time(minutes=10)
    assert hung.state == "stopped"


def test_a_machine_that_shall_go_is_terminated_with_its_disk(stack: Stack, template: dict[str, Any]) -> None:
    hung = Hung(stack, template, MaxHours="1", AfterRun="terminate")
    hung.pass_time(hours=1)
    assert hung.state == "terminated"


def test_a_machine_that_was_off_for_a_while_has_all_its_hours_again(hung: Hung) -> None:
    hung.pass_time(hours=2)
    assert hung.state == "stopped"
    hung.pass_time(minutes=20)
    hung.start()
    hung.pass_time(hours=1, minutes=50)
    assert hung.state == "running"
    hung.pass_time(minutes=10)
    assert hung.state == "stopped"


def test_a_machine_that_is_started_again_at_once_is_stopped_again(hung: Hung) -> None:
    """The alarm is still on then, and an alarm that is on does nothing: without the schedule this one ran for ever."""
    hung.pass_time(hours=2)
    assert hung.state == "stopped"
    hung.start()
    hung.pass_time(minutes=31)
    assert hung.state == "stopped"


def test_an_alarm_that_a_person_sets_off_stops_the_machine_at_once(hung: Hung) -> None:
    (alarm,) = [one for one in hung.alarms() if {"Name": "InstanceId", "Value": hung.id} in one["Dimensions"]]
    cloudwatch = hung._stack.cloud.client("cloudwatch")
    cloudwatch.set_alarm_state(AlarmName=alarm["AlarmName"], StateValue="OK", StateReason="no reason to act")
    assert hung.state == "running"
    cloudwatch.set_alarm_state(AlarmName=alarm["AlarmName"], StateValue="ALARM", StateReason="to see it act")
    assert hung.state == "stopped"


def test_a_stop_that_went_wrong_is_asked_for_again(hung: Hung, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    clock = hung._stack.cloud.clock
    with monkeypatch.context() as patch:
        patch.setattr(clock, "_act", lambda action, instance_id: asked.append(action))
        hung.pass_time(hours=2)
    assert len(asked) == 1
    assert hung.state == "running"
    hung.pass_time(minutes=31)
    assert hung.state == "stopped"


def test_a_spot_machine_is_terminated_and_its_request_is_closed(
    stack: Stack, cloud: LocalCloud, spot_template: dict[str, Any]
) -> None:
    hung = Hung(stack, spot_template, MaxHours="1")
    (request,) = requests_of(cloud, hung.id)
    assert (request["State"], request["Type"], request["SpotPrice"]) == ("active", "one-time", "0.450000")
    assert not request.get("Tags")
    with pytest.raises(cloud.client("ec2").exceptions.ClientError, match="You can't stop the Spot Instance"):
        cloud.client("ec2").stop_instances(InstanceIds=[hung.id])
    hung.pass_time(hours=1)
    assert hung.state == "terminated"
    assert [one["State"] for one in requests_of(cloud, hung.id)] == ["closed"]


@pytest.mark.parametrize("change", [{"InstanceType": "g5.xlarge"}, {"Prompt": "a tree"}], ids=str)
@pytest.mark.parametrize("spot", [True, False], ids=["spot", "AfterRun"])
def test_another_type_or_prompt_is_another_instance_where_it_is_gone(
    stack: Stack, template: dict[str, Any], spot_template: dict[str, Any], spot: bool, change: dict[str, str]
) -> None:
    hung = Hung(stack, spot_template if spot else template, AfterRun="stop" if spot else "terminate")
    stack.cloud.client("ec2").terminate_instances(InstanceIds=[hung.id])
    new = updated(stack, **change)
    assert new != hung.id
    assert stack.instance(new)["State"]["Name"] == "running"
    assert stack.instance(new)["InstanceType"] == change.get("InstanceType", "g6.xlarge")


def test_another_afterrun_is_another_instance_and_stop_keeps_it_from_then_on(
    stack: Stack, template: dict[str, Any]
) -> None:
    hung = Hung(stack, template)
    assert updated(stack, Prompt="a tree") == hung.id
    terminates = updated(stack, AfterRun="terminate")
    assert terminates != hung.id
    stops = updated(stack, AfterRun="stop")
    assert stops != terminates
    assert updated(stack, Prompt="a horse", InstanceType="g5.xlarge") == stops


def updated(stack: Stack, **changes: str) -> str:
    """The instance after an update of these parameters."""
    kept = [{"ParameterKey": name, "UsePreviousValue": True} for name in stack.parameters() if name not in changes]
    given = [{"ParameterKey": name, "ParameterValue": value} for name, value in changes.items()]
    stack.client.update_stack(StackName=stack.name, UsePreviousTemplate=True, Parameters=[*kept, *given])
    stack.expect("UPDATE_COMPLETE")
    (instance_id,) = [o["OutputValue"] for o in stack.describe()["Outputs"] if o["OutputKey"] == "InstanceId"]
    return str(instance_id)


def requests_of(cloud: LocalCloud, instance_id: str) -> list[dict[str, Any]]:
    listed = cloud.client("ec2").describe_spot_instance_requests()["SpotInstanceRequests"]
    return [request for request in listed if request["InstanceId"] == instance_id]


def test_an_instance_that_is_gone_is_replaced_by_another_value_of_replaces(
    stack: Stack, template: dict[str, Any]
) -> None:
    hung = Hung(stack, template)
    bucket = [one for one in stack.describe()["Outputs"] if one["OutputKey"] == "ResultsBucket"]
    stack.cloud.client("ec2").terminate_instances(InstanceIds=[hung.id])
    stack.until_state("terminated", hung.id)
    known = [name for name in template["Parameters"] if name not in ("Prompt", "Replaces")]

    def update(**parameters: str) -> str:
        kept = [{"ParameterKey": name, "UsePreviousValue": True} for name in known]
        given = [{"ParameterKey": name, "ParameterValue": value} for name, value in parameters.items()]
        stack.client.update_stack(StackName=stack.name, UsePreviousTemplate=True, Parameters=[*kept, *given])
        until(lambda: not re.search("IN_PROGRESS", stack.describe()["StackStatus"]), "the update ends")
        return str(stack.describe()["StackStatus"])

    assert update(Prompt="a tree", Replaces="") == "UPDATE_ROLLBACK_FAILED"
    stack.client.continue_update_rollback(StackName=stack.name, ForceRollback=True)
    stack.expect("UPDATE_ROLLBACK_COMPLETE")
    assert update(Prompt="a tree", Replaces=hung.id) == "UPDATE_COMPLETE"
    outputs = stack.describe()["Outputs"]
    (new,) = [one["OutputValue"] for one in outputs if one["OutputKey"] == "InstanceId"]
    assert new != hung.id
    assert stack.instance(new)["State"]["Name"] == "running"
    assert bucket == [one for one in outputs if one["OutputKey"] == "ResultsBucket"]
    assert hung.id not in json.dumps(stack.instance(new)["Tags"])
    kinds = {"igw", "lt", "rtb", "sg", "subnet", "vpc", "vpce"}
    assert {one.split("-")[0] for one in left_of(stack)} == kinds
    stack.delete()
    assert left_of(stack) == []
