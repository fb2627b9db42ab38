"""A group of machines launches, ends and replaces them as EC2 Auto Scaling documents it."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import threading
import urllib.request
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from botocore.exceptions import ClientError

from scripts.local.aws.permissions import permissions_enforced
from scripts.local.local_cloud import LocalCloud
from scripts.local.machines.machine import SHIMS
from scripts.local.scaling import groups
from stacks.facts.machine_image import DEEP_LEARNING_AMI
from tests.local_cloud.conftest import EC2_MAY_ASSUME, PATIENCE, Stack, per_boot, until
from tests.local_cloud.test_rights import Role

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
            "UserData": base64.b64encode(per_boot('touch "$SD_PREFIX/booted"; sleep 100000').encode()).decode(),
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
        def members() -> tuple[list[str]] | None:
            there = self.describe()["Instances"]
            ids = [one["InstanceId"] for one in there if one["LifecycleState"] == "InService"]
            return (ids,) if len(ids) == len(there) == count else None

        (found,) = until(members, f"{count} machines are in service")
        return list(found)

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
def group(cloud: LocalCloud, stack: Stack, monkeypatch: pytest.MonkeyPatch) -> Iterator[Group]:
    monkeypatch.setattr(groups, "RETRY", 0.3)
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
    until((cloud.machines[first].disk / "booted").exists, "its user data runs")
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
    group.stack.update(group.template(HealthCheckType="EC2"))
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
    group.stack.until_state("terminated", first)
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

    template = cloud.client("ec2").delete_launch_template(LaunchTemplateId=group.stack.physical_id("Template"))
    group.want(2)
    gone = template["LaunchTemplate"]["LaunchTemplateId"]
    until(lambda: gone in (group.failure() or {})["StatusMessage"], "the template is missed")
    group.stack.client.delete_stack(StackName=group.stack.name)
    group.stack.expect("DELETE_FAILED")
    group.stack.delete("Template")


def test_a_role_changes_its_own_group_alone_and_within_its_conditions(
    group: Group, stack: Stack, cloud: LocalCloud
) -> None:
    other = Group(cloud, Stack(cloud))
    other.stack.create(other.template())
    arn = f"arn:aws:autoscaling:*:{cloud.account.id}:autoScalingGroup:*:autoScalingGroupName/{group.name}"
    leave = {"Effect": "Allow", "Action": "autoscaling:TerminateInstanceInAutoScalingGroup", "Resource": arn}
    to_zero = {"NumericEquals": {"autoscaling:MaxSize": "0"}}
    close = {"Effect": "Allow", "Action": "autoscaling:UpdateAutoScalingGroup", "Resource": arn, "Condition": to_zero}
    document = {"Version": "2012-10-17", "Statement": [leave, close]}
    inline = [{"PolicyName": "leave", "PolicyDocument": document}]
    template = group.template()
    template["Resources"]["Role"] = {
        "Type": "AWS::IAM::Role",
        "Properties": {"AssumeRolePolicyDocument": EC2_MAY_ASSUME, "Policies": inline},
    }
    stack.update(template)
    role = Role(cloud, stack.physical_id("Role"))
    group.want(1)
    other.want(1)
    ((mine,), (theirs,)) = group.in_service(1), other.in_service(1)
    end, change = "terminate_instance_in_auto_scaling_group", "update_auto_scaling_group"
    assert not role.may("autoscaling", end, InstanceId=theirs, ShouldDecrementDesiredCapacity=True)
    assert role.may("autoscaling", end, InstanceId=mine, ShouldDecrementDesiredCapacity=True)
    assert not role.may("autoscaling", change, **group.named, DesiredCapacity=1)
    assert not role.may("autoscaling", change, **group.named, MaxSize=500)
    assert not role.may("autoscaling", change, **other.named, MaxSize=0)
    assert role.may("autoscaling", change, **group.named, MinSize=0, MaxSize=0)
    assert not role.may("autoscaling", "describe_auto_scaling_groups")
    other.stack.delete()


def test_what_auto_scaling_refuses(group: Group, cloud: LocalCloud) -> None:
    with pytest.raises(ClientError, match="New SetDesiredCapacity value 4 is above max value 3"):
        group.want(4)
    with pytest.raises(ClientError, match="Desired capacity:2 must be between the specified min size:0 and max size:1"):
        group.client.update_auto_scaling_group(**group.named, MaxSize=1, DesiredCapacity=2)
    on_demand = {"InstancesDistribution": {"OnDemandPercentageAboveBaseCapacity": 100}}
    with pytest.raises(ClientError, match="Max bound, 3, must be greater than or equal to min bound, 4"):
        group.client.update_auto_scaling_group(**group.named, MinSize=4, MixedInstancesPolicy=on_demand)
    shares = group.describe()["MixedInstancesPolicy"]["InstancesDistribution"]
    assert shares["OnDemandPercentageAboveBaseCapacity"] == 0, "what is refused changes nothing"
    with pytest.raises(ClientError, match="a MixedInstancesPolicy and a VPCZoneIdentifier alone"):
        group.client.create_auto_scaling_group(AutoScalingGroupName="other", MinSize=0, MaxSize=1)
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


def test_ec2_takes_a_spot_machine_back_and_an_update_of_the_share_replaces_the_others(
    group: Group, cloud: LocalCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    group.want(1)
    (first,) = group.in_service(1)
    take_back, is_told = cloud.machines._take_back, threading.Event()
    monkeypatch.setattr(cloud.machines, "_take_back", lambda one: is_told.wait(PATIENCE) and take_back(one))
    cloud.machines.interrupt_spot(first, seconds=0)
    assert json.loads(metadata(cloud, first, "spot/instance-action"))["action"] == "terminate"
    is_told.set()
    second = group.another_than(first)
    assert instance(cloud, first)["StateReason"]["Code"] == "Server.SpotInstanceTermination"

    on_demand = {"InstancesDistribution": {"OnDemandPercentageAboveBaseCapacity": 100}}
    group.client.update_auto_scaling_group(**group.named, MixedInstancesPolicy=on_demand)
    third = group.another_than(second)
    assert "InstanceLifecycle" not in instance(cloud, third)
    assert group.describe()["MixedInstancesPolicy"]["LaunchTemplate"]["Overrides"][0]["InstanceType"] == TYPES[0]
    assert group.in_service(1) == [third]


def backstop(group: Group, queue: str) -> dict[str, Any]:
    """A policy that starts one machine, and its alarm: something is queued and nobody is in service."""

    def metric(name: str, namespace: str, metric: str, **dimension: Any) -> dict[str, Any]:
        (key,) = dimension
        measured = {
            "Namespace": namespace,
            "MetricName": metric,
            "Dimensions": [{"Name": key, "Value": dimension[key]}],
        }
        return {"Id": name, "MetricStat": {"Metric": measured, "Period": 60, "Stat": "Maximum"}, "ReturnData": False}

    policy = {
        "AutoScalingGroupName": {"Ref": "Group"},
        "PolicyType": "StepScaling",
        "AdjustmentType": "ChangeInCapacity",
        "StepAdjustments": [{"MetricIntervalLowerBound": 0, "ScalingAdjustment": 1}],
    }
    alarm = {
        "Metrics": [
            {"Id": "wanted", "Expression": "IF(visible > 0 AND FILL(inservice, 0) == 0, 1, 0)"},
            metric("visible", "AWS/SQS", "ApproximateNumberOfMessagesVisible", QueueName=queue),
            metric("inservice", "AWS/AutoScaling", "GroupInServiceInstances", AutoScalingGroupName={"Ref": "Group"}),
        ],
        "ComparisonOperator": "GreaterThanOrEqualToThreshold",
        "Threshold": 1,
        "EvaluationPeriods": 2,
        "TreatMissingData": "notBreaching",
        "AlarmActions": [{"Ref": "Policy"}],
    }
    template = group.template(MetricsCollection=[{"Granularity": "1Minute"}])
    template["Resources"] |= {
        "Policy": {"Type": "AWS::AutoScaling::ScalingPolicy", "Properties": policy},
        "Alarm": {"Type": "AWS::CloudWatch::Alarm", "Properties": alarm},
    }
    return template


def test_what_acts_while_nobody_is_there(group: Group, cloud: LocalCloud) -> None:
    queue = cloud.client("sqs").create_queue(QueueName=f"{group.name}-batch")["QueueUrl"]
    group.stack.update(backstop(group, queue.rpartition("/")[2]))
    cloud.clock.pass_time(minutes=5)
    cloud.client("sqs").send_message(QueueUrl=queue, MessageBody="a unit")
    cloud.clock.pass_time(minutes=15)  # SQS wakes
    assert group.describe()["DesiredCapacity"] == 0
    cloud.clock.pass_time(minutes=4)
    (first,) = group.in_service(1)
    assert "a monitor alarm" in group.activities()[0]["Cause"]
    cloud.clock.pass_time(minutes=10)
    assert group.in_service(1) == [first], "it is in service, so that the alarm is over"

    start = datetime.now(UTC) + timedelta(minutes=30)
    action = {**group.named, "ScheduledActionName": "end", "MaxSize": 0}
    with pytest.raises(ClientError, match="Given start time is in the past"):
        group.client.put_scheduled_update_group_action(**action, StartTime=datetime.now(UTC) - timedelta(minutes=1))
    group.client.put_scheduled_update_group_action(**action, StartTime=start)
    cloud.clock.pass_time(minutes=29)
    assert group.in_service(1) == [first]
    cloud.clock.pass_time(minutes=2)
    assert group.in_service(0) == []
    assert group.client.describe_scheduled_actions(**group.named)["ScheduledUpdateGroupActions"] == []
    cloud.clock.pass_time(minutes=10)
    assert group.describe()["DesiredCapacity"] == 0, "no policy leaves the group's sizes"


SCHEDULER_MAY_ASSUME = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "scheduler.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}


# Without summer time: in the nights in which it begins and ends, a time of day ten minutes ahead is none or two.
ZONE = ZoneInfo("Asia/Kolkata")


def test_a_schedule_for_one_moment_acts_once_with_the_rights_of_its_role(stack: Stack, cloud: LocalCloud) -> None:
    sqs, scheduler = cloud.client("sqs"), cloud.client("scheduler")
    hidden = {"VisibilityTimeout": "43200"}  # so that what was received is seen once
    queue = sqs.create_queue(QueueName=f"{stack.name}-batch", Attributes=hidden)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    allowed = {"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": arn}
    inline = {"PolicyName": "send", "PolicyDocument": {"Version": "2012-10-17", "Statement": [allowed]}}
    properties = {"AssumeRolePolicyDocument": SCHEDULER_MAY_ASSUME, "Policies": [inline]}
    nobody = {"AssumeRolePolicyDocument": EC2_MAY_ASSUME}
    stack.create(
        {
            "Resources": {
                "Role": {"Type": "AWS::IAM::Role", "Properties": properties},
                "Nobody": {"Type": "AWS::IAM::Role", "Properties": nobody},
            }
        }
    )
    roles = [f"arn:aws:iam::{cloud.account.id}:role/{stack.physical_id(name)}" for name in ("Role", "Nobody")]

    def schedule(name: str, minutes: int, target: str, given: str, role: str = roles[0], after: Any = "DELETE") -> None:
        local = datetime.now(ZONE) + timedelta(minutes=minutes)
        scheduler.create_schedule(
            Name=name,
            ScheduleExpression=f"at({local:%Y-%m-%dT%H:%M:%S})",
            ScheduleExpressionTimezone=ZONE.key,
            FlexibleTimeWindow={"Mode": "OFF"},
            ActionAfterCompletion=after,
            Target={"Arn": target, "RoleArn": role, "Input": given},
        )

    def received() -> list[str]:
        found = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10, WaitTimeSeconds=0).get("Messages", [])
        return sorted(one["Body"] for one in found)

    with pytest.raises(ClientError, match="must allow AWS EventBridge Scheduler to assume the role"):
        schedule("no", 10, arn, "{}", roles[1])
    with pytest.raises(ClientError, match="does not emulate the target"):
        schedule("no", 10, "arn:aws:lambda:us-east-1:123456789012:function:any", "{}")
    with pytest.raises(ClientError, match="in the past"):
        schedule("no", -1, arn, "{}")
    universal = "arn:aws:scheduler:::aws-sdk:sqs:sendMessage"
    schedule("by-target", 10, arn, "one", after="NONE")
    schedule("by-api", 10, universal, json.dumps({"QueueUrl": queue, "MessageBody": "two"}))
    schedule("broken", 10, universal, json.dumps({"Queue": queue}))
    schedule("forbidden", 10, "arn:aws:scheduler:::aws-sdk:sqs:purgeQueue", json.dumps({"QueueUrl": queue}))
    cloud.clock.pass_time(minutes=9)
    assert received() == []
    with permissions_enforced():
        cloud.clock.pass_time(minutes=2)
    assert received() == ["one", "two"]
    assert [one["Name"] for one in scheduler.list_schedules(NamePrefix="by-")["Schedules"]] == ["by-target"]
    cloud.clock.pass_time(minutes=20)
    assert received() == []
    scheduler.delete_schedule(Name="by-target")
