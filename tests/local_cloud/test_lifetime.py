"""The guard outside: the template's own alarm and schedule, on a clock that is moved, over machines that hang.

Their user data never ends: no worker was ever started, nothing powers them off, and no timer in them is armed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from scripts.local.local_cloud import LocalCloud
from tests.local_cloud.conftest import Stack, left_of, per_boot, until
from tests.synth.conftest import read_template, synthesize

pytestmark = pytest.mark.local_cloud

HANGS = per_boot("sleep 100000 # ${Prompt}")


def hanging(folder: Path, **context: str) -> dict[str, Any]:
    """The deployed template, but that its machine hangs."""
    finished = synthesize(folder, **context)
    assert finished.returncode == 0, finished.stderr
    template = read_template(folder)
    del template["Parameters"]["BootstrapVersion"], template["Rules"]  # there is no cdk bootstrap in this account
    for resource in template["Resources"].values():
        for properties in (resource["Properties"], resource["Properties"].get("LaunchTemplateData", {})):
            if "UserData" in properties:
                properties["UserData"] = {"Fn::Base64": {"Fn::Sub": HANGS}}
    return template


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return hanging(tmp_path_factory.mktemp("assembly"))


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
    stack: Stack, cloud: LocalCloud, tmp_path: Path
) -> None:
    hung = Hung(stack, hanging(tmp_path, spot="true", max_price="0.45"), MaxHours="1")
    (request,) = requests_of(cloud, hung.id)
    assert (request["State"], request["Type"], request["SpotPrice"]) == ("active", "one-time", "0.450000")
    assert {"Key": "project", "Value": "sd-on-ec2"} in request["Tags"]
    with pytest.raises(cloud.client("ec2").exceptions.ClientError, match="You can't stop the Spot Instance"):
        cloud.client("ec2").stop_instances(InstanceIds=[hung.id])
    hung.pass_time(hours=1)
    assert hung.state == "terminated"
    assert [one["State"] for one in requests_of(cloud, hung.id)] == ["closed"]


def test_another_type_is_another_spot_instance(stack: Stack, tmp_path: Path) -> None:
    spot = hanging(tmp_path, spot="true")
    hung = Hung(stack, spot)
    kept = [{"ParameterKey": name, "UsePreviousValue": True} for name in spot["Parameters"] if name != "InstanceType"]
    given = {"ParameterKey": "InstanceType", "ParameterValue": "g5.xlarge"}
    stack.client.update_stack(StackName=stack.name, UsePreviousTemplate=True, Parameters=[*kept, given])
    until(lambda: not re.search("IN_PROGRESS", stack.describe()["StackStatus"]), "the update ends")
    assert stack.describe()["StackStatus"] == "UPDATE_COMPLETE"
    outputs = stack.describe()["Outputs"]
    (new,) = [one["OutputValue"] for one in outputs if one["OutputKey"] == "InstanceId"]
    assert new != hung.id
    assert stack.instance(new)["InstanceType"] == "g5.xlarge"


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

    assert "ROLLBACK" in update(Prompt="a tree", Replaces="")
    assert update(Prompt="a tree", Replaces=hung.id) == "UPDATE_COMPLETE"
    outputs = stack.describe()["Outputs"]
    (new,) = [one["OutputValue"] for one in outputs if one["OutputKey"] == "InstanceId"]
    assert new != hung.id
    assert stack.instance(new)["State"]["Name"] == "running"
    assert bucket == [one for one in outputs if one["OutputKey"] == "ResultsBucket"]
    assert json.dumps(stack.instance(new)["Tags"]).count(hung.id) == 1
    kinds = {"igw", "lt", "rtb", "sg", "subnet", "vpc", "vpce"}
    assert {one.split("-")[0] for one in left_of(stack)} == kinds
    stack.delete()
    assert left_of(stack) == []
