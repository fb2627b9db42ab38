"""The local cloud's own clock, for alarms and schedules. It stands still until a test moves it."""

from __future__ import annotations

import contextlib
import functools
import json
import logging
import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

from botocore import xform_name
from botocore.exceptions import ClientError
from moto.cloudwatch.models import CloudWatchBackend
from moto.scheduler.models import scheduler_backends

from scripts.local.aws.account import Account
from scripts.local.aws.alarm_evaluation import EXTRA_POINTS, Rule, alarm_state
from scripts.local.aws.replaced import replaced

log = logging.getLogger(__name__)

REPORTED_EVERY = 5  # minutes; EC2 without detailed monitoring
UNITS = {"minute": 1, "hour": 60, "day": 1440}
UNIVERSAL_TARGET = re.compile(r"arn:aws:scheduler:::aws-sdk:(?P<service>[a-z0-9]+):(?P<action>[a-zA-Z]+)")
EC2_ACTION = re.compile(r"arn:aws:automate:[a-z0-9-]+:ec2:(?P<verb>stop|terminate|reboot)")


class AlarmClock:
    """Moves the time on, and does what CloudWatch and EventBridge Scheduler would have done in that time.

    Every five minutes each running instance reports its CPUUtilization, 0 always; every minute each alarm over it is
    evaluated, and acts when it goes off, once. The machines' own clocks are not moved.

    An alarm that SetAlarmState sets off acts as well. On AWS it is evaluated again within seconds; here it stays as it
    was set until the time moves.
    """

    def __init__(self, account: Account) -> None:
        self._account = account
        self._minute = 0
        self._reported: defaultdict[str, set[int]] = defaultdict(set)

    @property
    def now(self) -> timedelta:
        """The time since the cloud began."""
        return timedelta(minutes=self._minute)

    def pass_time(self, *, hours: float = 0, minutes: float = 0) -> None:
        """Lets time pass, minute by minute. When this returns, every call of an alarm or schedule is made."""
        for _ in range(round(hours * 60 + minutes)):
            self._minute += 1
            if self._minute % REPORTED_EVERY == 0:
                self._report()
            self._run_schedules()
            self._evaluate_alarms()

    @contextlib.contextmanager
    def attached(self) -> Iterator[None]:
        """Makes each alarm of the emulated CloudWatch act when its state changes to ALARM, while the context lasts."""
        set_state = CloudWatchBackend.set_alarm_state
        with replaced({(CloudWatchBackend, "set_alarm_state"): self._around_set(set_state)}):
            yield

    def _around_set(self, original: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(original)
        def set_alarm_state(backend: Any, alarm_name: str, reason: str, reason_data: str, state_value: str) -> None:
            alarm = backend.alarms.get(alarm_name)
            before = alarm.state_value if alarm else None
            original(backend, alarm_name, reason, reason_data, state_value)
            if state_value == "ALARM" != before:
                for dimension in alarm.dimensions:
                    for action in alarm.alarm_actions:
                        self._act(action, dimension.value)

        return set_alarm_state

    def _report(self) -> None:
        running = [{"Name": "instance-state-name", "Values": ["running"]}]
        described = self._account.client("ec2").describe_instances(Filters=running)
        for reservation in described["Reservations"]:
            for instance in reservation["Instances"]:
                self._reported[instance["InstanceId"]].add(self._minute)

    def _evaluate_alarms(self) -> None:
        cloudwatch = self._account.client("cloudwatch")
        for alarm in cloudwatch.describe_alarms()["MetricAlarms"]:
            dimensions = {one["Name"]: one["Value"] for one in alarm.get("Dimensions", [])}
            if (alarm.get("Namespace"), alarm.get("MetricName"), *dimensions) != (
                "AWS/EC2",
                "CPUUtilization",
                "InstanceId",
            ):
                continue
            state = alarm_state(_rule(alarm), self._points(alarm, dimensions["InstanceId"]))
            if state == alarm["StateValue"]:
                continue
            cloudwatch.set_alarm_state(AlarmName=alarm["AlarmName"], StateValue=state, StateReason="evaluated")

    def _points(self, alarm: dict[str, Any], instance_id: str) -> list[float | None]:
        """The alarm's evaluation range: a point for each period in which the instance has reported anything."""
        period = alarm["Period"] // 60
        reported = self._reported[instance_id]
        ends = [self._minute - period * back for back in reversed(range(alarm["EvaluationPeriods"] + EXTRA_POINTS))]
        return [0.0 if any(minute in reported for minute in range(end - period + 1, end + 1)) else None for end in ends]

    def _act(self, action: str, instance_id: str) -> None:
        match = EC2_ACTION.fullmatch(action)
        if match is None:
            log.warning("The alarm's action %s is not emulated.", action)
            return
        call = getattr(self._account.client("ec2"), f"{match['verb']}_instances")
        try:
            call(InstanceIds=[instance_id])
        except ClientError as error:  # CloudWatch does not ask a second time either
            log.warning("The alarm could not %s %s: %s", match["verb"], instance_id, error)

    def _run_schedules(self) -> None:
        # Past the API, whose signatures moto cannot check for this service when it enforces IAM.
        backend = scheduler_backends[self._account.id][self._account.region]
        schedules = [one for group in backend.schedule_groups.values() for one in group.schedules.values()]
        for schedule in schedules:
            if schedule.state == "ENABLED" and self._minute % _rate(schedule.schedule_expression) == 0:
                self._call(schedule.target)

    def _call(self, target: dict[str, Any]) -> None:
        match = UNIVERSAL_TARGET.fullmatch(target["Arn"])
        if match is None:
            raise ValueError(f"The schedule's target {target['Arn']} is not emulated")
        action = match["action"]
        call = getattr(self._account.client(match["service"]), xform_name(action[0].upper() + action[1:]))
        try:
            call(**json.loads(target["Input"]))
        except ClientError as error:
            log.warning("The schedule's %s failed: %s", action, error)


def _rule(alarm: dict[str, Any]) -> Rule:
    return Rule(
        comparison=alarm["ComparisonOperator"],
        threshold=alarm["Threshold"],
        evaluation_periods=alarm["EvaluationPeriods"],
        datapoints_to_alarm=alarm.get("DatapointsToAlarm") or alarm["EvaluationPeriods"],
        treat_missing_data=alarm.get("TreatMissingData", "missing"),
    )


def _rate(expression: str) -> int:
    """The minutes of `rate(30 minutes)`. Raises `ValueError` for a schedule of another kind."""
    match = re.fullmatch(r"rate\((\d+) (minute|hour|day)s?\)", expression)
    if match is None:
        raise ValueError(f"The schedule {expression} is not emulated; rate(...) is")
    return int(match[1]) * UNITS[match[2]]
