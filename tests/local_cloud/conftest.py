"""One local cloud for the tests of a process, and stacks with names of their own in it."""

from __future__ import annotations

import contextlib
import json
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import psutil
import pytest

from scripts.local.aws.metadata_service import InstanceView
from scripts.local.local_cloud import LocalCloud
from scripts.local.machines import instance_view, machines
from scripts.local.machines.machine import Machine
from tests.synth.conftest import read_template, synthesize

PATIENCE = 180.0  # seconds, on a computer with much else to do

EC2_MAY_ASSUME = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}


def until(condition: Callable[[], Any], what: str) -> Any:
    """Waits until the condition gives something true, and gives that."""
    end = time.monotonic() + PATIENCE
    while not (found := condition()):
        assert time.monotonic() < end, f"not within {PATIENCE:.0f} s: {what}"
        time.sleep(0.05)
    return found


def is_alive(pid: int) -> bool:
    """Whether a process runs; a dead one that nobody waited for does not."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def per_boot(script: str) -> str:
    return f"MIME-Version: 1.0\nContent-Type: text/x-shellscript-per-boot\n\n#!/bin/bash\n{script}\n"


class Stack:
    """A stack, and the instance `Machine` in it."""

    def __init__(self, cloud: LocalCloud, name: str = "") -> None:
        self.cloud = cloud
        self.name = name or f"stack-{uuid.uuid4().hex[:8]}"
        self.client = cloud.client("cloudformation")

    def create(self, template: dict[str, Any], **parameters: str) -> None:
        self._create(template, parameters)
        self.expect("CREATE_COMPLETE")

    def fail_to_create(self, template: dict[str, Any], **parameters: str) -> str:
        """Why the stack was rolled back."""
        self._create(template, parameters)
        self.expect("ROLLBACK_COMPLETE")
        return "\n".join(self.reasons())

    def _create(self, template: dict[str, Any], parameters: dict[str, str]) -> None:
        self.client.create_stack(StackName=self.name, TemplateBody=json.dumps(template), Parameters=_listed(parameters))

    def update(self, template: dict[str, Any], previous: tuple[str, ...] = (), **parameters: str) -> None:
        kept: list[dict[str, Any]] = [{"ParameterKey": name, "UsePreviousValue": True} for name in previous]
        self.client.update_stack(
            StackName=self.name, TemplateBody=json.dumps(template), Parameters=_listed(parameters) + kept
        )
        self.expect("UPDATE_COMPLETE")

    def delete(self, *retained: str) -> None:
        """Deletes the stack but for what is `retained`, and waits for the end, which a request does for a while."""
        stack_id = self.describe()["StackId"]
        self.client.delete_stack(StackName=self.name, RetainResources=list(retained))

        def status() -> str:
            return str(self.client.describe_stacks(StackName=stack_id)["Stacks"][0]["StackStatus"])

        until(lambda: status() != "DELETE_IN_PROGRESS", "the deletion ends")
        assert status() == "DELETE_COMPLETE", self.reasons()

    def expect(self, status: str) -> None:
        until(lambda: not self.describe()["StackStatus"].endswith("_IN_PROGRESS"), "the operation ends")
        assert self.describe()["StackStatus"] == status, self.reasons()

    def describe(self) -> dict[str, Any]:
        stack: dict[str, Any] = self.client.describe_stacks(StackName=self.name)["Stacks"][0]
        return stack

    def parameters(self) -> dict[str, str]:
        return {one["ParameterKey"]: one["ParameterValue"] for one in self.describe()["Parameters"]}

    def reasons(self) -> list[str]:
        events = self.client.describe_stack_events(StackName=self.name)["StackEvents"]
        return [event["ResourceStatusReason"] for event in events if "ResourceStatusReason" in event]

    def physical_id(self, logical_id: str) -> str:
        found = self.client.describe_stack_resources(StackName=self.name)["StackResources"]
        return str(next(one["PhysicalResourceId"] for one in found if one["LogicalResourceId"] == logical_id))

    @property
    def instance_id(self) -> str:
        return self.physical_id("Machine")

    @property
    def machine(self) -> Machine:
        return self.cloud.machines[self.instance_id]

    def instance(self, instance_id: str | None = None) -> dict[str, Any]:
        found = self.cloud.client("ec2").describe_instances(InstanceIds=[instance_id or self.instance_id])
        instance: dict[str, Any] = found["Reservations"][0]["Instances"][0]
        return instance

    def until_state(self, state: str, instance_id: str | None = None) -> None:
        until(lambda: self.instance(instance_id)["State"]["Name"] == state, f"the instance is {state}")

    def lines(self, name: str) -> list[str]:
        """The lines of a file on the machine's disk, none as long as there is no file."""
        file = self.machine.disk / name
        return file.read_text("utf-8").splitlines() if file.exists() else []

    def until_line(self, name: str, line: str) -> None:
        until(lambda: line in self.lines(name), f"{line!r} is in {name}; the console says {self.machine.console}")


def _listed(parameters: dict[str, str]) -> list[dict[str, Any]]:
    return [{"ParameterKey": name, "ParameterValue": value} for name, value in parameters.items()]


def machine_template(script: str, **properties: Any) -> dict[str, Any]:
    """A stack of one instance whose every boot runs a script; ${Prompt} in it is the parameter."""
    return {
        "Parameters": {"Prompt": {"Type": "String", "Default": "a"}, "Seed": {"Type": "Number", "Default": 1}},
        "Resources": {
            "Machine": {
                "Type": "AWS::EC2::Instance",
                "Properties": {
                    "ImageId": "ami-12c6146b",
                    "InstanceType": "g5.xlarge",
                    "UserData": {"Fn::Base64": {"Fn::Sub": per_boot(script)}},
                    **properties,
                },
            }
        },
    }


def left_of(stack: Stack) -> list[str]:
    """What is left of a stack's network, by the tags that the service puts on everything."""
    ec2 = stack.cloud.client("ec2")
    tags = ec2.describe_tags(Filters=[{"Name": "tag:aws:cloudformation:stack-name", "Values": [stack.name]}])["Tags"]
    there = {
        *(one["VpcId"] for one in ec2.describe_vpcs()["Vpcs"]),
        *(one["SubnetId"] for one in ec2.describe_subnets()["Subnets"]),
        *(one["InternetGatewayId"] for one in ec2.describe_internet_gateways()["InternetGateways"]),
        *(one["RouteTableId"] for one in ec2.describe_route_tables()["RouteTables"]),
        *(one["GroupId"] for one in ec2.describe_security_groups()["SecurityGroups"]),
        *(one["LaunchTemplateId"] for one in ec2.describe_launch_templates()["LaunchTemplates"]),
        *(one["VpcEndpointId"] for one in ec2.describe_vpc_endpoints()["VpcEndpoints"] if one["State"] != "deleted"),
    }
    return sorted({tag["ResourceId"] for tag in tags} & there)


HANGS = per_boot("sleep 100000 # ${Prompt}")


@contextlib.contextmanager
def machines_hang() -> Iterator[None]:
    """Machines do nothing when they boot, whatever is deployed: a worker that nobody waits for takes ten seconds."""

    def view_of(instance: Any) -> InstanceView:
        return replace(instance_view.view_of(instance), user_data=HANGS.encode())

    with patch.object(machines, "view_of", view_of):
        yield


def hanging(folder: Path, **context: str) -> dict[str, Any]:
    """The deployed template, but that its machine hangs."""
    finished = synthesize(folder, **context)
    assert finished.returncode == 0, finished.stderr
    return made_to_hang(read_template(folder))


def made_to_hang(template: dict[str, Any]) -> dict[str, Any]:
    """The template, changed so that its machine hangs and no `cdk bootstrap` is needed."""
    del template["Parameters"]["BootstrapVersion"], template["Rules"]  # there is no cdk bootstrap in this account
    for resource in template["Resources"].values():
        for properties in (resource["Properties"], resource["Properties"].get("LaunchTemplateData", {})):
            if "UserData" in properties:
                properties["UserData"] = _hanging(properties["UserData"])
    return template


def _hanging(user_data: dict[str, Any]) -> dict[str, Any]:
    if "Fn::If" in user_data:
        condition, *either = user_data["Fn::If"]
        return {"Fn::If": [condition, *map(_hanging, either)]}
    return {"Fn::Base64": {"Fn::Sub": HANGS}} if "Fn::Base64" in user_data else user_data


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return hanging(tmp_path_factory.mktemp("assembly"))


@pytest.fixture(scope="session")
def cloud() -> Iterator[LocalCloud]:
    with LocalCloud() as running:
        yield running


@pytest.fixture
def stack(cloud: LocalCloud) -> Iterator[Stack]:
    made = Stack(cloud)
    yield made
    cloud.client("cloudformation").delete_stack(StackName=made.name)
