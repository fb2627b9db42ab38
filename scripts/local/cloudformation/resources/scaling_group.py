"""AWS::AutoScaling::AutoScalingGroup and AWS::AutoScaling::ScalingPolicy. moto's own class replaces on each update."""

from __future__ import annotations

import time
from typing import Any

from scripts.local.aws.account import Account
from scripts.local.cloudformation.resources.api_call import call
from scripts.local.cloudformation.resources.resource import Resource, ResourceType, Wanted

DEADLINE = 180.0  # seconds for a group's instances to go
POLL = 0.1
PASSED_ON = (
    "CapacityRebalance",
    "HealthCheckType",
    "MaxSize",
    "MinSize",
    "MixedInstancesPolicy",
)


def _create_group(account: Account, wanted: Wanted) -> Resource:
    name, client = wanted.properties.get("AutoScalingGroupName") or wanted.name(255), account.client("autoscaling")
    call(client, "CreateAutoScalingGroup", **_asked(wanted, name), Tags=_tags(wanted, name))
    _collect_metrics(account, wanted, name)
    return Resource(name)


def _update_group(account: Account, resource: Resource, wanted: Wanted) -> None:
    """Leaves the desired capacity, which the template does not name, as far as the sizes let it."""
    name, client = resource.physical_resource_id, account.client("autoscaling")
    call(client, "UpdateAutoScalingGroup", **_asked(wanted, name))
    tags = _tags(wanted, name)
    before = client.describe_tags(Filters=[{"Name": "auto-scaling-group", "Values": [name]}])["Tags"]
    gone = {tag["Key"] for tag in before} - {tag["Key"] for tag in tags}
    if gone:
        group = {"ResourceId": name, "ResourceType": "auto-scaling-group"}
        client.delete_tags(Tags=[{**group, "Key": key} for key in sorted(gone)])
    call(client, "CreateOrUpdateTags", Tags=tags)
    _collect_metrics(account, wanted, name)


def _delete_group(account: Account, resource: Resource) -> None:
    """Brings the group to zero and waits for its instances, as CloudFormation does, then deletes it."""
    client, name = account.client("autoscaling"), resource.physical_resource_id
    end = time.monotonic() + DEADLINE
    while groups := client.describe_auto_scaling_groups(AutoScalingGroupNames=[name])["AutoScalingGroups"]:
        if time.monotonic() > end:
            raise TimeoutError(f"{name} has instances still, after {DEADLINE:.0f} s")
        if not groups[0]["Instances"]:
            client.delete_auto_scaling_group(AutoScalingGroupName=name)
        elif groups[0]["DesiredCapacity"] or groups[0]["MaxSize"]:
            client.update_auto_scaling_group(AutoScalingGroupName=name, MinSize=0, MaxSize=0, DesiredCapacity=0)
        else:
            time.sleep(POLL)


def _asked(wanted: Wanted, name: str) -> dict[str, Any]:
    properties = wanted.properties
    asked = {key: properties[key] for key in PASSED_ON if key in properties}
    asked["VPCZoneIdentifier"] = ",".join(properties["VPCZoneIdentifier"])
    return {**asked, "AutoScalingGroupName": name}


def _tags(wanted: Wanted, name: str) -> list[dict[str, Any]]:
    """The stack's tags and CloudFormation's own reach the instances, too; the group's own where they say so."""
    aws = {
        "aws:cloudformation:stack-name": wanted.stack_name,
        "aws:cloudformation:stack-id": wanted.stack_id,
        "aws:cloudformation:logical-id": wanted.logical_id,
    }
    own = wanted.properties.get("Tags", [])
    tags = {key: {"Value": value, "PropagateAtLaunch": True} for key, value in {**wanted.stack_tags, **aws}.items()}
    tags |= {tag["Key"]: {"Value": tag["Value"], "PropagateAtLaunch": tag["PropagateAtLaunch"]} for tag in own}
    group = {"ResourceId": name, "ResourceType": "auto-scaling-group"}
    return [{**group, "Key": key, **value} for key, value in tags.items()]


def _create_policy(account: Account, wanted: Wanted) -> Resource:
    name = wanted.name(255)
    resource = Resource("", {"PolicyName": name})
    _put_policy(account, resource, wanted)
    return resource


def _put_policy(account: Account, resource: Resource, wanted: Wanted) -> None:
    """Ref gives the policy's ARN, which alarms name as their action."""
    name = resource.get_cfn_attribute("PolicyName")
    made = call(account.client("autoscaling"), "PutScalingPolicy", **wanted.properties, PolicyName=name)
    resource.physical_resource_id = made["PolicyARN"]
    resource.attributes = {"PolicyName": name, "Arn": made["PolicyARN"]}


def _delete_policy(account: Account, resource: Resource) -> None:
    name, group = resource.get_cfn_attribute("PolicyName"), resource.properties["AutoScalingGroupName"]
    account.client("autoscaling").delete_policy(PolicyName=name, AutoScalingGroupName=group)


def _collect_metrics(account: Account, wanted: Wanted, name: str) -> None:
    for asked in wanted.properties.get("MetricsCollection", []):
        call(account.client("autoscaling"), "EnableMetricsCollection", **asked, AutoScalingGroupName=name)


TYPES = {
    "AWS::AutoScaling::AutoScalingGroup": ResourceType(
        _create_group,
        _delete_group,
        _update_group,
        replaced_by=frozenset({"AutoScalingGroupName"}),
        properties=frozenset({*PASSED_ON, "AutoScalingGroupName", "MetricsCollection", "VPCZoneIdentifier"}),
    ),
    "AWS::AutoScaling::ScalingPolicy": ResourceType(
        _create_policy, _delete_policy, _put_policy, replaced_by=frozenset({"AutoScalingGroupName"})
    ),
}
