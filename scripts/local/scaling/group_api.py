"""Auto Scaling's API: what it takes, what it refuses, and in which words. Every other action is refused.

Source: https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_Operations.html
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any

from moto.autoscaling.exceptions import AutoscalingClientError, ValidationError
from moto.autoscaling.models import AutoScalingBackend, FakeAutoScalingGroup
from moto.autoscaling.responses import AutoScalingResponse
from moto.core.responses import ActionResult, EmptyResult

from scripts.local.aws.replaced import replaced
from scripts.local.scaling.activity import at
from scripts.local.scaling.groups import Groups
from scripts.local.scaling.launch import template_data
from scripts.local.scaling.planned import (
    delete_scheduled,
    put_scheduled,
    run_due_actions,
    scale_by_policy,
)
from scripts.local.watching.metrics import DESIRED, IN_SERVICE

SIZES = frozenset({"AutoScalingGroupName", "DesiredCapacity", "MaxSize", "MinSize"})
SETTINGS = frozenset(
    {
        "CapacityRebalance",
        "DefaultCooldown",
        "HealthCheckGracePeriod",
        "HealthCheckType",
        "MixedInstancesPolicy",
        "VPCZoneIdentifier",
    }
)
LEFT_TO_MOTO = {
    "create_or_update_tags": frozenset({"Tags"}),
    "delete_policy": frozenset({"AutoScalingGroupName", "PolicyName"}),
    "delete_scheduled_action": frozenset({"AutoScalingGroupName", "ScheduledActionName"}),
    "delete_tags": frozenset({"Tags"}),
    "describe_auto_scaling_groups": frozenset({"AutoScalingGroupNames", "Filters", "MaxRecords", "NextToken"}),
    "describe_auto_scaling_instances": frozenset({"InstanceIds"}),
    "describe_scheduled_actions": frozenset({"AutoScalingGroupName", "ScheduledActionNames"}),
    "describe_tags": frozenset({"Filters"}),
    "describe_policies": frozenset({"AutoScalingGroupName", "PolicyNames"}),
}
ADJUSTMENTS = ("ChangeInCapacity", "ExactCapacity")
MOTO_S_PUT_POLICY = AutoScalingResponse.put_scaling_policy
Answer = Callable[[Groups, AutoScalingResponse, dict[str, Any]], ActionResult]


@contextlib.contextmanager
def auto_scaling(groups: Groups) -> Iterator[None]:
    """Answers and refuses as Auto Scaling does while the context lasts."""
    refused = {
        name: _refuse(name)
        for name, value in AutoScalingResponse.__dict__.items()
        if callable(value) and not name.startswith("_") and name != "call_action"
    }
    kept = {name: _checked(AutoScalingResponse.__dict__[name], taken) for name, taken in LEFT_TO_MOTO.items()}
    groups.clock.dated.append(functools.partial(run_due_actions, groups))
    groups.clock.scale = functools.partial(scale_by_policy, groups)
    ours = {name: _answer(groups, answer, taken) for name, (answer, taken) in ACTIONS.items()}
    with replaced(
        {
            **{(AutoScalingResponse, name): action for name, action in {**refused, **kept, **ours}.items()},
            # moto launches and ends instances in these two.
            (FakeAutoScalingGroup, "set_desired_capacity"): _only_set,
            (AutoScalingBackend, "delete_scheduled_action"): delete_scheduled,
            (AutoScalingBackend, "notify_terminate_instances"): lambda backend, instance_ids: None,
        }
    ):
        yield


def _only_set(group: Any, capacity: int | None) -> None:
    group.desired_capacity = group.min_size if capacity is None else capacity


def _refuse(name: str) -> Callable[..., Any]:
    def action(response: Any) -> ActionResult:
        raise ValidationError(f"The local cloud does not emulate {name} of Auto Scaling")

    return action


def _checked(original: Callable[..., Any], taken: frozenset[str]) -> Callable[..., Any]:
    @functools.wraps(original)
    def action(response: Any) -> Any:
        unknown = sorted(response._get_params().keys() - taken)
        if unknown:
            raise ValidationError(f"The local cloud does not emulate {', '.join(unknown)} of {original.__name__}")
        return original(response)

    return action


def _answer(groups: Groups, answer: Answer, taken: frozenset[str]) -> Callable[..., Any]:
    @functools.wraps(answer)
    def action(response: Any) -> ActionResult:
        with groups.lock:
            return answer(groups, response, response._get_params())

    return _checked(action, taken)


def _check_policy(groups: Groups, policy: dict[str, Any]) -> None:
    template = policy["LaunchTemplate"]
    extra = {name for one in template["Overrides"] for name in one} - {"InstanceType"}
    if extra:
        raise ValidationError(f"The local cloud does not emulate {', '.join(sorted(extra))} of a group's overrides")
    try:
        template_data(groups.account, template["LaunchTemplateSpecification"])
    except ValueError as error:
        raise ValidationError(str(error)) from error


def _create(groups: Groups, response: AutoScalingResponse, asked: dict[str, Any]) -> ActionResult:
    name = asked["AutoScalingGroupName"]
    if name in groups.backend.autoscaling_groups:
        raise AutoscalingClientError(
            "AlreadyExists",
            f"AutoScalingGroup by this name already exists - A group with the name {name} already exists",
        )
    policy = {"InstancesDistribution": {}, **asked["MixedInstancesPolicy"]}
    _check_policy(groups, policy)
    group = groups.backend.create_auto_scaling_group(
        name=name,
        availability_zones=[],
        desired_capacity=0,
        max_size=0,
        min_size=0,
        launch_config_name="",
        launch_template={},
        vpc_zone_identifier=asked["VPCZoneIdentifier"],
        default_cooldown=asked.get("DefaultCooldown"),
        health_check_period=None,
        health_check_type=asked.get("HealthCheckType"),
        load_balancers=[],
        target_group_arns=[],
        placement_group=None,
        termination_policies=[],
        tags=asked.get("Tags", []),
        capacity_rebalance=asked.get("CapacityRebalance", False),
        mixed_instances_policy=policy,
    )
    group.health_check_grace_period = asked.get("HealthCheckGracePeriod", 0)  # moto's default is the console's
    group.resized = ""
    try:
        groups.limit(group, _sizes(asked), "a user request created an AutoScalingGroup with")
    except ValidationError:
        del groups.backend.autoscaling_groups[name]
        raise
    return EmptyResult()


def _update(groups: Groups, response: AutoScalingResponse, asked: dict[str, Any]) -> ActionResult:
    group = groups.find(asked["AutoScalingGroupName"])
    if "MixedInstancesPolicy" in asked:
        policy = _merged(group.mixed_instances_policy, asked["MixedInstancesPolicy"])
        _check_policy(groups, policy)
        group.mixed_instances_policy = policy
        group._set_launch_configuration("", {}, policy)
    if "VPCZoneIdentifier" in asked:
        group._set_azs_and_vpcs([], asked["VPCZoneIdentifier"], update=True)
    for setting, attribute in (
        ("CapacityRebalance", "capacity_rebalance"),
        ("DefaultCooldown", "default_cooldown"),
        ("HealthCheckGracePeriod", "health_check_grace_period"),
        ("HealthCheckType", "health_check_type"),
    ):
        if setting in asked:
            setattr(group, attribute, asked[setting])
    groups.limit(group, _sizes(asked), "a user request update of")
    return EmptyResult()


def _sizes(asked: dict[str, Any]) -> dict[str, int | None]:
    return {name: asked.get(name) for name in ("MinSize", "MaxSize", "DesiredCapacity")}


def _merged(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    """What an update does not name stays as it was."""
    return {
        name: {**before.get(name, {}), **after.get(name, {})} for name in ("LaunchTemplate", "InstancesDistribution")
    }


def _delete(groups: Groups, response: AutoScalingResponse, asked: dict[str, Any]) -> ActionResult:
    """With ForceDelete the group is gone at once, and its instances are terminated without anybody waiting."""
    group = groups.find(asked["AutoScalingGroupName"])
    if group.instance_states and not asked.get("ForceDelete"):
        raise AutoscalingClientError(
            "ResourceInUse",
            "You cannot delete an AutoScalingGroup while there are instances or pending Spot instance request(s) "
            "still in the group.",
        )
    for member in group.instance_states:
        if member.lifecycle_state != "Terminating":
            groups.end(group, member, f"At {at()} a user request force deleted the AutoScalingGroup.")
    del groups.backend.autoscaling_groups[group.name]
    for kept in (groups.backend.policies, groups.backend.scheduled_actions):
        for key in [key for key, one in kept.items() if one.auto_scaling_group_name == group.name]:
            del kept[key]
    return EmptyResult()


def _set_desired(groups: Groups, response: AutoScalingResponse, asked: dict[str, Any]) -> ActionResult:
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


def _terminate(groups: Groups, response: AutoScalingResponse, asked: dict[str, Any]) -> ActionResult:
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


def _set_health(groups: Groups, response: AutoScalingResponse, asked: dict[str, Any]) -> ActionResult:
    group, member = groups.member(asked["InstanceId"])
    if asked["HealthStatus"] not in ("Healthy", "Unhealthy"):
        raise ValidationError("Valid instance health states are: [Healthy, Unhealthy]")
    if not (asked.get("ShouldRespectGracePeriod", True) and groups.is_in_grace(group, member)):
        member.health_status = asked["HealthStatus"]
        groups.wake(group)
    return EmptyResult()


def _suspend(groups: Groups, response: AutoScalingResponse, asked: dict[str, Any]) -> ActionResult:
    """Nothing here ever moves an instance to another zone, so that this suspension has no effect."""
    group = groups.find(asked["AutoScalingGroupName"])
    if asked.get("ScalingProcesses") != ["AZRebalance"]:
        raise ValidationError("The local cloud emulates the suspension of AZRebalance, and of nothing else")
    group.suspended_processes = ["AZRebalance"]
    return EmptyResult()


def _put_policy(groups: Groups, response: AutoScalingResponse, asked: dict[str, Any]) -> ActionResult:
    groups.find(asked["AutoScalingGroupName"])
    if asked.get("PolicyType") != "StepScaling" or asked.get("AdjustmentType") not in ADJUSTMENTS:
        raise ValidationError(
            f"Of scaling policies, the local cloud emulates StepScaling by {' or '.join(ADJUSTMENTS)}"
        )
    MOTO_S_PUT_POLICY(response)
    return ActionResult({"PolicyARN": groups.backend.policies[asked["PolicyName"]].arn})


def _collect_metrics(groups: Groups, response: AutoScalingResponse, asked: dict[str, Any]) -> ActionResult:
    group = groups.find(asked["AutoScalingGroupName"])
    group.metrics = asked.get("Metrics") or [IN_SERVICE, DESIRED]  # all of them, as far as they are emulated
    return EmptyResult()


def _put_scheduled(groups: Groups, response: AutoScalingResponse, asked: dict[str, Any]) -> ActionResult:
    put_scheduled(groups, asked)
    return EmptyResult()


def _activities(groups: Groups, response: AutoScalingResponse, asked: dict[str, Any]) -> ActionResult:
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


ACTIONS: dict[str, tuple[Answer, frozenset[str]]] = {
    "create_auto_scaling_group": (_create, SIZES | SETTINGS | {"Tags"}),
    "delete_auto_scaling_group": (_delete, frozenset({"AutoScalingGroupName", "ForceDelete"})),
    "describe_scaling_activities": (_activities, frozenset({"AutoScalingGroupName", "MaxRecords", "NextToken"})),
    "enable_metrics_collection": (
        _collect_metrics,
        frozenset({"AutoScalingGroupName", "Granularity", "Metrics"}),
    ),
    "put_scaling_policy": (
        _put_policy,
        frozenset(
            {
                "AdjustmentType",
                "AutoScalingGroupName",
                "EstimatedInstanceWarmup",
                "MetricAggregationType",
                "PolicyName",
                "PolicyType",
                "StepAdjustments",
            }
        ),
    ),
    "put_scheduled_update_group_action": (_put_scheduled, SIZES | {"ScheduledActionName", "StartTime"}),
    "set_desired_capacity": (_set_desired, frozenset({"AutoScalingGroupName", "DesiredCapacity"})),
    "set_instance_health": (_set_health, frozenset({"HealthStatus", "InstanceId", "ShouldRespectGracePeriod"})),
    "suspend_processes": (_suspend, frozenset({"AutoScalingGroupName", "ScalingProcesses"})),
    "terminate_instance_in_auto_scaling_group": (
        _terminate,
        frozenset({"InstanceId", "ShouldDecrementDesiredCapacity"}),
    ),
    "update_auto_scaling_group": (_update, SIZES | SETTINGS),
}
