"""What is done to a group and its instances through the API."""

from __future__ import annotations

from typing import Any

from moto.autoscaling.exceptions import ValidationError
from moto.autoscaling.responses import AutoScalingResponse
from moto.core.responses import ActionResult, EmptyResult

from scripts.local.scaling.activity import at
from scripts.local.scaling.groups import Groups
from scripts.local.scaling.planned import put_scheduled
from scripts.local.watching.metrics import DESIRED, IN_SERVICE

MOTO_S_PUT_POLICY = AutoScalingResponse.put_scaling_policy


def set_desired(groups: Groups, response: AutoScalingResponse, asked: dict[str, Any]) -> ActionResult:
    """Gives a group a desired capacity within its sizes."""
    group, wanted = groups.find(asked["AutoScalingGroupName"]), asked["DesiredCapacity"]
    for bound, size, beyond in (
        ("above max", group.max_size, wanted > group.max_size),
        ("below min", group.min_size, wanted < group.min_size),
    ):
        if beyond:
            raise ValidationError(
                f"New SetDesiredCapacity value {wanted} is {bound} value {size} for the AutoScalingGroup."
            )
    groups.resize(group, wanted, "a user request explicitly set group desired capacity")
    return EmptyResult()


def terminate(groups: Groups, response: AutoScalingResponse, asked: dict[str, Any]) -> ActionResult:
    """Ends an instance; the group wants one less, or another in its place."""
    group, member = groups.member(asked["InstanceId"])
    taken = f"At {at()} instance {member.instance.id} was taken out of service in response to a user request"
    if asked["ShouldDecrementDesiredCapacity"] and member.lifecycle_state != "Terminating":
        before = group.desired_capacity
        if before <= group.min_size:
            raise ValidationError(
                f"Currently, desiredSize equals minSize ({group.min_size}). Terminating instance without replacement "
                "will violate group's min size constraint. Either set shouldDecrementDesiredCapacity flag to false or "
                "lower group's min size."
            )
        group.desired_capacity = before - 1
        taken += f", shrinking the capacity from {before} to {before - 1}"
    if member.lifecycle_state != "Terminating":
        groups.end(group, member, f"{taken}.")
    return ActionResult({"Activity": member.activity.described()})


def set_health(groups: Groups, response: AutoScalingResponse, asked: dict[str, Any]) -> ActionResult:
    """Takes the caller's word for an instance's health. No group has a grace period here, which is AWS's default."""
    group, member = groups.member(asked["InstanceId"])
    if asked["HealthStatus"] not in ("Healthy", "Unhealthy"):
        raise ValidationError("Valid instance health states are: [Healthy, Unhealthy]")
    member.health_status = asked["HealthStatus"]
    groups.wake(group)
    return EmptyResult()


def suspend(groups: Groups, response: AutoScalingResponse, asked: dict[str, Any]) -> ActionResult:
    """Nothing here ever moves an instance to another zone, so that this suspension has no effect."""
    group = groups.find(asked["AutoScalingGroupName"])
    if asked.get("ScalingProcesses") != ["AZRebalance"]:
        raise ValidationError("The local cloud emulates the suspension of AZRebalance, and of nothing else")
    group.suspended_processes = ["AZRebalance"]
    return EmptyResult()


def put_policy(groups: Groups, response: AutoScalingResponse, asked: dict[str, Any]) -> ActionResult:
    """Keeps a step policy."""
    groups.find(asked["AutoScalingGroupName"])
    if (asked.get("PolicyType"), asked.get("AdjustmentType")) != ("StepScaling", "ChangeInCapacity"):
        raise ValidationError("Of scaling policies, the local cloud emulates StepScaling by ChangeInCapacity")
    MOTO_S_PUT_POLICY(response)
    return ActionResult({"PolicyARN": groups.backend.policies[asked["PolicyName"]].arn})


def collect_metrics(groups: Groups, response: AutoScalingResponse, asked: dict[str, Any]) -> ActionResult:
    """Has the group report."""
    group = groups.find(asked["AutoScalingGroupName"])
    group.metrics = asked.get("Metrics") or [IN_SERVICE, DESIRED]  # all of them, as far as they are emulated
    return EmptyResult()


def put_action(groups: Groups, response: AutoScalingResponse, asked: dict[str, Any]) -> ActionResult:
    """Keeps a scheduled action."""
    put_scheduled(groups, asked)
    return EmptyResult()


def activities(groups: Groups, response: AutoScalingResponse, asked: dict[str, Any]) -> ActionResult:
    """The latest first. A deleted group's are not told, unless IncludeDeletedGroups asks for them."""
    name, most = asked.get("AutoScalingGroupName"), asked.get("MaxRecords", 100)
    if name:
        groups.find(name)
    found = [one for one in reversed(groups.activities) if name in (None, one.group)]
    start = int(asked.get("NextToken", 0))
    told: dict[str, Any] = {"Activities": [one.described() for one in found[start : start + most]]}
    if start + most < len(found):
        told["NextToken"] = str(start + most)
    return ActionResult(told)
