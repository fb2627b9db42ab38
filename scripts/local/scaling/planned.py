"""What changes a group's size while nobody is there: scheduled actions, and step policies that an alarm sets off.

Sources: https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-scheduled-scaling.html and
https://docs.aws.amazon.com/autoscaling/ec2/userguide/as-scaling-simple-step.html
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from typing import Any

from moto.autoscaling.exceptions import AutoscalingClientError, ValidationError

from scripts.local.scaling.groups import Groups

log = logging.getLogger(__name__)

WARMUP = 5  # minutes; a group's default cooldown, which a policy takes that has no warm-up of its own


def put_scheduled(groups: Groups, asked: dict[str, Any]) -> None:
    """Keeps a one-time action. Raises the service's error for one without sizes, in the past, or at a taken time."""
    group, start = groups.find(asked["AutoScalingGroupName"]), asked.get("StartTime")
    sizes = {name: asked.get(name) for name in ("MinSize", "MaxSize", "DesiredCapacity")}
    if start is None:
        raise ValidationError("The local cloud emulates scheduled actions with a StartTime alone")
    if all(size is None for size in sizes.values()):
        raise ValidationError("At least one of MinSize, MaxSize and DesiredCapacity must be given")
    if _aware(start) <= datetime.now(UTC):
        raise ValidationError("Given start time is in the past")
    name, kept = asked["ScheduledActionName"], groups.backend.scheduled_actions
    others = [one for key, one in kept.items() if key[0] == group.name and key[1] != name]
    if any(_aware(one.start_time) == _aware(start) for one in others):
        raise AutoscalingClientError("AlreadyExists", "Another scheduled action of the group has this start time")
    action = groups.backend.put_scheduled_update_group_action(
        group.name, sizes["DesiredCapacity"], sizes["MaxSize"], sizes["MinSize"], name, start, None, None, None
    )
    # moto knows actions by their names alone, and two groups may have the same.
    kept[group.name, name] = kept.pop(name)
    action.moved_at = groups.clock.moved


def delete_scheduled(backend: Any, auto_scaling_group_name: str, scheduled_action_name: str) -> None:
    """Forgets an action. Raises the service's error where there is none."""
    if backend.scheduled_actions.pop((auto_scaling_group_name, scheduled_action_name), None) is None:
        raise ValidationError("Scheduled action name not found")


def run_due_actions(groups: Groups) -> None:
    """Does each action whose time has come, and forgets it."""
    with groups.lock:
        for key, action in list(groups.backend.scheduled_actions.items()):
            passed: timedelta = groups.clock.moved - action.moved_at
            if datetime.now(UTC) + passed < _aware(action.start_time):
                continue
            del groups.backend.scheduled_actions[key]
            sizes = {
                "MinSize": action.min_size,
                "MaxSize": action.max_size,
                "DesiredCapacity": action.desired_capacity,
            }
            try:
                cause = f"a scheduled action update of {action.scheduled_action_name} set"
                groups.limit(groups.find(action.auto_scaling_group_name), sizes, cause)
            except ValidationError as error:
                log.warning("The scheduled action %s failed: %s", action.scheduled_action_name, error)


def scale_by_policy(groups: Groups, arn: str, alarm: str, beyond: float) -> None:
    """Does what a step policy says for a metric that is `beyond` the threshold of its alarm.

    A change in the same step is made once while the machines of the last one warm up, as Auto Scaling counts them
    as there. A policy never leaves the group's sizes.
    """
    with groups.lock:
        policy = next((one for one in groups.backend.policies.values() if one.arn == arn), None)
        if policy is None:
            log.warning("The alarm %s has an action that does not exist: %s", alarm, arn)
            return
        group, step = groups.find(policy.auto_scaling_group_name), _step(policy, beyond)
        if step is None or _is_warming(groups, policy, step):
            return
        policy.scaled = (groups.clock.minute, step)
        wanted = group.desired_capacity + int(step["ScalingAdjustment"])
        cause = f"a monitor alarm {alarm} in state ALARM triggered policy {policy.name}"
        groups.resize(group, max(group.min_size, min(group.max_size, wanted)), cause)


def _step(policy: Any, beyond: float) -> dict[str, Any] | None:
    for step in policy.step_adjustments:
        lower = float(step.get("MetricIntervalLowerBound", "-inf"))
        upper = float(step.get("MetricIntervalUpperBound", "inf"))
        if lower <= beyond < upper:
            found: dict[str, Any] = step
            return found
    return None


def _is_warming(groups: Groups, policy: Any, step: dict[str, Any]) -> bool:
    since, last = getattr(policy, "scaled", (None, None))
    return since is not None and last == step and groups.clock.minute - since < WARMUP


def _aware(moment: datetime | str) -> datetime:
    """A time of the API, which is UTC."""
    if isinstance(moment, str):
        moment = datetime.fromisoformat(moment)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
