"""A group of machines launches, ends and replaces them as EC2 Auto Scaling documents it."""

from __future__ import annotations

import base64
import subprocess
import sys
import urllib.request
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from scripts.local.local_cloud import LocalCloud
from scripts.local.machines.machine import SHIMS
from stacks.facts.machine_image import DEEP_LEARNING_AMI
from tests.local_cloud.conftest import Stack, per_boot, until

pytestmark = pytest.mark.local_cloud

TYPES = ("g6.xlarge", "g4dn.xlarge")  # of 4 vCPUs each; the account's quotas are 8


class Group:
    """A group of zero to three machines that do nothing, and what the tests ask of it."""

    def __init__(self, cloud: LocalCloud, stack: Stack) -> None:
        self.cloud, self.stack = cloud, stack
        self.name = f"sd-{uuid.uuid4().hex[:8]}"
        self.client = cloud.client("autoscaling")
        self.named = {"AutoScalingGroupName": self.name}

    def template(self, **properties: Any) -> dict[str, Any]:
        subnets = self.cloud.client("ec2").describe_subnets()["Subnets"]
        tagged = [{"ResourceType": "instance", "Tags": [{"Key": "from", "Value": "template"}]}]
        data = {
            "ImageId": f"resolve:ssm:{DEEP_LEARNING_AMI}",
            "InstanceInitiatedShutdownBehavior": "terminate",
            "TagSpecifications": tagged,
            "UserData": base64.b64encode(per_boot("sleep 100000").encode()).decode(),
        }
        version = {"Fn::GetAtt": ["Template", "LatestVersionNumber"]}
        group = {
            "AutoScalingGroupName": self.name,
            "MinSize": "0",
            "MaxSize": "3",
            "VPCZoneIdentifier": [one["SubnetId"] for one in subnets if one["AvailabilityZone"][-1] in "ab"],
            "MixedInstancesPolicy": {
                "LaunchTemplate": {
                    "LaunchTemplateSpecification": {"LaunchTemplateId": {"Ref": "Template"}, "Version": version},
                    "Overrides": [{"InstanceType": name} for name in TYPES],
                },
                "InstancesDistribution": {
                    "OnDemandPercentageAboveBaseCapacity": 0,
                    "SpotAllocationStrategy": "price-capacity-optimized",
                },
            },
            "Tags": [{"Key": "of", "Value": "group", "PropagateAtLaunch": True}],
            **properties,
        }
        return {
            "Resources": {
                "Template": {"Type": "AWS::EC2::LaunchTemplate", "Properties": {"LaunchTemplateData": data}},
                "Group": {"Type": "AWS::AutoScaling::AutoScalingGroup", "Properties": group},
            }
        }

    def describe(self) -> dict[str, Any]:
        found: dict[str, Any] = self.client.describe_auto_scaling_groups(AutoScalingGroupNames=[self.name])
        group: dict[str, Any] = found["AutoScalingGroups"][0]
        return group

    def in_service(self, count: int) -> list[str]:
        def members() -> list[str] | None:
            there = self.describe()["Instances"]
            ids = [one["InstanceId"] for one in there if one["LifecycleState"] == "InService"]
            return ids if len(ids) == len(there) == count else None

        until(lambda: members() is not None, f"{count} machines are in service")
        return members() or []

    def another_than(self, instance_id: str) -> str:
        def other() -> str | None:
            ids = [one["InstanceId"] for one in self.describe()["Instances"] if one["LifecycleState"] == "InService"]
            return ids[0] if len(ids) == 1 and ids != [instance_id] else None

        return str(until(other, f"another machine is in service than {instance_id}"))

    def failure(self) -> dict[str, Any] | None:
        """The latest activity that failed."""
        return next((one for one in self.activities() if one["StatusCode"] == "Failed"), None)

    def want(self, capacity: int) -> None:
        self.client.set_desired_capacity(**self.named, DesiredCapacity=capacity)

    def activities(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.client.describe_scaling_activities(**self.named)["Activities"]
        return found

    def end(self, instance_id: str, *, decrement: bool) -> None:
        self.client.terminate_instance_in_auto_scaling_group(
            InstanceId=instance_id, ShouldDecrementDesiredCapacity=decrement
        )


@pytest.fixture
def group(cloud: LocalCloud, stack: Stack) -> Iterator[Group]:
    made = Group(cloud, stack)
    stack.create(made.template())
    yield made
    cloud.capacity.sold_out.clear()


def instance(cloud: LocalCloud, instance_id: str) -> dict[str, Any]:
    found = cloud.client("ec2").describe_instances(InstanceIds=[instance_id])
    described: dict[str, Any] = found["Reservations"][0]["Instances"][0]
    return described


def metadata(cloud: LocalCloud, instance_id: str, path: str) -> str:
    def ask(path: str, method: str, **headers: str) -> str:
        named = {f"X-aws-ec2-metadata-{name}": value for name, value in headers.items()}
        url = f"{cloud.machines[instance_id].metadata.endpoint}latest/{path}"
        request = urllib.request.Request(url, method=method, headers=named)  # noqa: S310
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request) as answer:
            return str(answer.read().decode())

    return ask(f"meta-data/{path}", "GET", token=ask("api/token", "PUT", **{"token-ttl-seconds": "60"}))


def test_a_group_launches_what_its_template_says_and_ends_what_is_too_much(group: Group, cloud: LocalCloud) -> None:
    assert group.in_service(0) == []
    group.want(2)
    first, second = group.in_service(2)
    made = instance(cloud, first)
    tags = {tag["Key"]: tag["Value"] for tag in made["Tags"]}
    assert (tags["from"], tags["of"], tags["aws:autoscaling:groupName"]) == ("template", "group", group.name)
    assert (made["InstanceType"], made["InstanceLifecycle"]) == (TYPES[0], "spot")
    assert {instance(cloud, one)["Placement"]["AvailabilityZone"][-1] for one in (first, second)} == {"a", "b"}
    assert metadata(cloud, first, "autoscaling/target-lifecycle-state") == "InService"
    launched = group.activities()[0]
    assert launched["StatusCode"] == "Successful"
    assert "explicitly set group desired capacity changing the desired capacity from 0 to 2" in launched["Cause"]
    group.want(1)
    (left,) = group.in_service(1)
    assert "shrinking the capacity from 2 to 1" in group.activities()[0]["Cause"]
    # A template that does not name the desired capacity leaves it, as far as the sizes let it.
    group.stack.update(group.template(Cooldown="60"))
    assert (group.describe()["DesiredCapacity"], group.in_service(1)) == (1, [left])
    group.stack.update(group.template(MaxSize="0"))
    assert (group.describe()["DesiredCapacity"], group.in_service(0)) == (0, [])


def test_a_machine_that_ends_by_itself_is_replaced_and_one_that_ends_through_its_group_is_not(
    group: Group, cloud: LocalCloud
) -> None:
    group.want(1)
    (first,) = group.in_service(1)
    until(lambda: cloud.machines[first].console is not None, "it boots")
    command = [sys.executable, str(SHIMS / "shutdown"), "-P", "now"]
    subprocess.run(command, env=cloud.machines[first].environment, check=True)
    second = group.another_than(first)
    assert instance(cloud, first)["State"]["Name"] == "terminated"
    assert "EC2 health check indicating it has been terminated or stopped" in str(group.activities())

    group.client.set_instance_health(InstanceId=second, HealthStatus="Unhealthy")
    third = group.another_than(second)
    assert "taken out of service in response to a user health-check" in str(group.activities())

    group.end(third, decrement=False)
    fourth = group.another_than(third)
    cloud.client("ec2").terminate_instances(InstanceIds=[fourth])
    fifth = group.another_than(fourth)

    group.end(fifth, decrement=True)
    assert group.in_service(0) == []
    assert group.describe()["DesiredCapacity"] == 0
    assert "shrinking the capacity from 1 to 0" in group.activities()[0]["Cause"]


def test_a_group_tries_again_where_ec2_has_nothing_and_says_so_in_its_words(group: Group, cloud: LocalCloud) -> None:
    cloud.capacity.sell_out(TYPES[0])
    cloud.capacity.sell_out(TYPES[1], "us-east-1a")
    group.want(1)
    (first,) = group.in_service(1)
    place = instance(cloud, first)
    assert (place["InstanceType"], place["Placement"]["AvailabilityZone"]) == (TYPES[1], "us-east-1b")

    group.want(3)  # 4 vCPUs each, of 8
    group.in_service(2)
    failed = until(group.failure, "a launch fails")
    assert failed["Progress"] == 100
    assert failed["StatusMessage"] == (
        "Could not launch Spot Instances. MaxSpotInstanceCountExceeded - Max spot instance count exceeded. "
        "Launching EC2 instance failed."
    )
    assert failed["Description"] == f"Launching a new EC2 instance.  Status Reason: {failed['StatusMessage']}"
    group.want(0)
    group.in_service(0)

    cloud.capacity.sell_out(TYPES[1])
    group.want(1)
    until(lambda: "There is no Spot capacity available" in (group.failure() or {})["StatusMessage"], "none is there")
    cloud.capacity.sold_out.clear()
    group.in_service(1)


def test_what_auto_scaling_refuses(group: Group, cloud: LocalCloud) -> None:
    with pytest.raises(ClientError, match="New SetDesiredCapacity value 4 is above max value 3"):
        group.want(4)
    with pytest.raises(ClientError, match="Desired capacity:2 must be between the specified min size:0 and max size:1"):
        group.client.update_auto_scaling_group(**group.named, MaxSize=1, DesiredCapacity=2)
    with pytest.raises(ClientError, match="No managed instance found for instance ID: i-1"):
        group.end("i-1", decrement=True)
    group.client.update_auto_scaling_group(**group.named, MinSize=1)
    (only,) = group.in_service(1)
    with pytest.raises(ClientError, match="Currently, desiredSize equals minSize"):
        group.end(only, decrement=True)
    with pytest.raises(ClientError, match="while there are instances"):
        group.client.delete_auto_scaling_group(**group.named)
    with pytest.raises(ClientError, match="does not emulate attach_instances"):
        group.client.attach_instances(**group.named, InstanceIds=[only])
    with pytest.raises(ClientError, match="AutoScalingGroup name not found"):
        group.client.set_desired_capacity(AutoScalingGroupName="none", DesiredCapacity=1)
    group.client.suspend_processes(**group.named, ScalingProcesses=["AZRebalance"])
    with pytest.raises(ClientError, match="suspension of AZRebalance, and of nothing else"):
        group.client.suspend_processes(**group.named, ScalingProcesses=["Launch"])
    group.stack.delete()
    assert instance(cloud, only)["State"]["Name"] == "terminated"
