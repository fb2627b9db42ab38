"""Auto Scaling's API: what it takes, what it refuses, and in which words. Every other action is refused.

Source: https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_Operations.html
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any

from moto.autoscaling.exceptions import ValidationError
from moto.autoscaling.models import AutoScalingBackend, FakeAutoScalingGroup
from moto.autoscaling.responses import AutoScalingResponse
from moto.core.responses import ActionResult

from scripts.local.aws.replaced import replaced
from scripts.local.scaling import group_actions, group_settings
from scripts.local.scaling.groups import Groups
from scripts.local.scaling.planned import (
    delete_scheduled,
    run_due_actions,
    scale_by_policy,
)

NAME = "AutoScalingGroupName"
SIZES = f"{NAME} DesiredCapacity MaxSize MinSize"
SETTINGS = f"{SIZES} CapacityRebalance HealthCheckType MixedInstancesPolicy VPCZoneIdentifier"
# The parameters that each action takes.
LEFT_TO_MOTO = {
    "create_or_update_tags": "Tags",
    "delete_policy": f"{NAME} PolicyName",
    "delete_scheduled_action": f"{NAME} ScheduledActionName",
    "delete_tags": "Tags",
    "describe_auto_scaling_groups": "AutoScalingGroupNames Filters MaxRecords NextToken",
    "describe_auto_scaling_instances": "InstanceIds",
    "describe_policies": f"{NAME} PolicyNames",
    "describe_scheduled_actions": f"{NAME} ScheduledActionNames",
    "describe_tags": "Filters",
}
Answer = Callable[[Groups, AutoScalingResponse, dict[str, Any]], ActionResult]

OURS: dict[str, tuple[Answer, str]] = {
    "create_auto_scaling_group": (group_settings.create_group, f"{SETTINGS} Tags"),
    "delete_auto_scaling_group": (group_settings.delete_group, f"{NAME} ForceDelete"),
    "describe_scaling_activities": (group_actions.activities, f"{NAME} MaxRecords NextToken"),
    "enable_metrics_collection": (group_actions.collect_metrics, f"{NAME} Granularity Metrics"),
    "put_scaling_policy": (
        group_actions.put_policy,
        f"{NAME} AdjustmentType PolicyName PolicyType StepAdjustments",
    ),
    "put_scheduled_update_group_action": (group_actions.put_action, f"{SIZES} ScheduledActionName StartTime"),
    "set_desired_capacity": (group_actions.set_desired, f"{NAME} DesiredCapacity"),
    "set_instance_health": (group_actions.set_health, "HealthStatus InstanceId ShouldRespectGracePeriod"),
    "suspend_processes": (group_actions.suspend, f"{NAME} ScalingProcesses"),
    "terminate_instance_in_auto_scaling_group": (
        group_actions.terminate,
        "InstanceId ShouldDecrementDesiredCapacity",
    ),
    "update_auto_scaling_group": (group_settings.update_group, SETTINGS),
}


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
    ours = {name: _answer(groups, answer, taken) for name, (answer, taken) in OURS.items()}
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


def _checked(original: Callable[..., Any], taken: str) -> Callable[..., Any]:
    @functools.wraps(original)
    def action(response: Any) -> Any:
        unknown = sorted(response._get_params().keys() - set(taken.split()))
        if unknown:
            raise ValidationError(f"The local cloud does not emulate {', '.join(unknown)} of {original.__name__}")
        return original(response)

    return action


def _answer(groups: Groups, answer: Answer, taken: str) -> Callable[..., Any]:
    @functools.wraps(answer)
    def action(response: Any) -> ActionResult:
        with groups.lock:
            return answer(groups, response, response._get_params())

    return _checked(action, taken)
