"""What a group is: its template, its types, its zones and its sizes, made, changed and deleted through the API."""

from __future__ import annotations

from typing import Any

from moto.autoscaling.exceptions import AutoscalingClientError, ValidationError
from moto.autoscaling.responses import AutoScalingResponse
from moto.core.responses import ActionResult, EmptyResult

from scripts.local.scaling.activity import at
from scripts.local.scaling.groups import Groups
from scripts.local.scaling.launch import template_data


def _check_policy(groups: Groups, policy: dict[str, Any]) -> None:
    template = policy["LaunchTemplate"]
    if not template.get("Overrides"):
        raise ValidationError("The local cloud emulates groups with a list of types alone: Overrides is missing")
    extra = {name for one in template["Overrides"] for name in one} - {"InstanceType"}
    if extra:
        raise ValidationError(f"The local cloud does not emulate {', '.join(sorted(extra))} of a group's overrides")
    try:
        template_data(groups.account, template["LaunchTemplateSpecification"])
    except ValueError as error:
        raise ValidationError(str(error)) from error


def create_group(groups: Groups, response: AutoScalingResponse, asked: dict[str, Any]) -> ActionResult:
    """Makes a group. Raises the service's error for a name that is taken, and for bad sizes or policies."""
    name = asked["AutoScalingGroupName"]
    if name in groups.backend.autoscaling_groups:
        raise AutoscalingClientError(
            "AlreadyExists",
            f"AutoScalingGroup by this name already exists - A group with the name {name} already exists",
        )
    if not {"MixedInstancesPolicy", "VPCZoneIdentifier"} <= asked.keys():
        raise ValidationError(
            "The local cloud emulates groups with a MixedInstancesPolicy and a VPCZoneIdentifier alone"
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
        default_cooldown=None,
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
    group.health_check_grace_period = 0  # moto's default is the console's
    group.resized, group.remixing = "", False
    try:
        groups.limit(group, _sizes(asked), "a user request created an AutoScalingGroup with")
    except ValidationError:
        del groups.backend.autoscaling_groups[name]
        raise
    return EmptyResult()


def update_group(groups: Groups, response: AutoScalingResponse, asked: dict[str, Any]) -> ActionResult:
    """Changes what is named, and leaves the rest. Another on-demand share replaces instances that run, one by one."""
    group = groups.find(asked["AutoScalingGroupName"])
    changed = asked.get("MixedInstancesPolicy", {})
    policy = _merged(group.mixed_instances_policy, changed)
    if changed:
        _check_policy(groups, policy)
    groups.limit(group, _sizes(asked), "a user request update of")
    if changed:
        group.mixed_instances_policy = policy
        # moto adds the template's name to its id, and refuses both.
        policy["LaunchTemplate"]["LaunchTemplateSpecification"].pop("LaunchTemplateName", None)
        group._set_launch_configuration("", {}, policy)
        group.remixing = "OnDemandPercentageAboveBaseCapacity" in changed.get("InstancesDistribution", {})
    group._set_azs_and_vpcs([], asked.get("VPCZoneIdentifier", group.vpc_zone_identifier), update=True)
    group.capacity_rebalance = asked.get("CapacityRebalance", group.capacity_rebalance)
    group.health_check_type = asked.get("HealthCheckType", group.health_check_type)
    return EmptyResult()


def _sizes(asked: dict[str, Any]) -> dict[str, int | None]:
    return {name: asked.get(name) for name in ("MinSize", "MaxSize", "DesiredCapacity")}


def _merged(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    """What an update does not name stays as it was."""
    return {
        name: {**before.get(name, {}), **after.get(name, {})} for name in ("LaunchTemplate", "InstancesDistribution")
    }


def delete_group(groups: Groups, response: AutoScalingResponse, asked: dict[str, Any]) -> ActionResult:
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
