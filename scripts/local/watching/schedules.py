"""EventBridge Scheduler: `rate(...)` and one-time `at(...)` schedules, which call the API with their role's rights.

Source: https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html
"""

from __future__ import annotations

import contextlib
import functools
import json
import logging
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from botocore import xform_name
from botocore.exceptions import BotoCoreError, ClientError
from moto.iam.models import iam_backends
from moto.scheduler.exceptions import ValidationException
from moto.scheduler.models import EventBridgeSchedulerBackend, scheduler_backends

from scripts.local.aws.account import Account
from scripts.local.aws.replaced import replaced

log = logging.getLogger(__name__)

UNITS = {"minute": 1, "hour": 60, "day": 1440}
RATE = re.compile(r"rate\((\d+) (minute|hour|day)s?\)")
AT = re.compile(r"at\((\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\)")
UNIVERSAL_TARGET = re.compile(r"arn:aws:scheduler:::aws-sdk:(?P<service>[a-z0-9]+):(?P<action>[a-zA-Z]+)")
QUEUE = re.compile(r"arn:aws:sqs:[a-z0-9-]+:\d{12}:(?P<name>[\w-]+)")


class Schedules:
    """The schedules of one account. `moved` says how far the local cloud's clock was moved until now."""

    def __init__(self, account: Account, moved: Callable[[], timedelta]) -> None:
        self._account = account
        self._moved = moved

    @contextlib.contextmanager
    def attached(self) -> Iterator[None]:
        """Refuses what Scheduler refuses, and what is not emulated, while the context lasts."""
        owner = EventBridgeSchedulerBackend
        hooks = {name: self._around(owner.__dict__[name]) for name in ("create_schedule", "update_schedule")}
        with replaced({(owner, name): hook for name, hook in hooks.items()}):
            yield

    def run(self, minute: int) -> None:
        """Calls what each `rate(...)` schedule calls in this minute."""
        for schedule in self._enabled():
            rate = RATE.fullmatch(schedule.schedule_expression)
            if rate and minute % (int(rate[1]) * UNITS[rate[2]]) == 0:
                self._call(schedule.target)

    def run_due(self) -> None:
        """Calls what each one-time schedule calls whose time has come, once."""
        for schedule in self._enabled():
            moment = _moment(schedule.schedule_expression, schedule.schedule_expression_timezone)
            passed = self._moved() - schedule.moved_at
            if moment is None or schedule.is_done or datetime.now(UTC) + passed < moment:
                continue
            schedule.is_done = True
            if schedule.action_after_completion == "DELETE":
                self._backend.schedule_groups[schedule.group_name].delete_schedule(schedule.name)
            self._call(schedule.target)

    @property
    def _backend(self) -> Any:
        # Past the API, whose signatures moto cannot check for this service when it enforces IAM.
        return scheduler_backends[self._account.id][self._account.region]

    def _enabled(self) -> list[Any]:
        groups = list(self._backend.schedule_groups.values())
        return [one for group in groups for one in list(group.schedules.values()) if one.state == "ENABLED"]

    def _around(self, original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def keep(backend: Any, *, schedule_expression: str, target: dict[str, Any], **more: Any) -> Any:
            moment = _moment(schedule_expression, more["schedule_expression_timezone"])
            if moment is None and not RATE.fullmatch(schedule_expression):
                raise ValidationException(f"The local cloud emulates rate(...) and at(...), not {schedule_expression}")
            if moment and moment <= datetime.now(UTC):
                raise ValidationException(f"Invalid Schedule Expression {schedule_expression}: it is in the past.")
            if more["flexible_time_window"] != {"Mode": "OFF"}:
                raise ValidationException("The local cloud emulates no flexible time window")
            _call_of(target["Arn"])
            self._check_role(target["RoleArn"])
            schedule = original(backend, schedule_expression=schedule_expression, target=target, **more)
            schedule.moved_at, schedule.is_done = self._moved(), False
            return schedule

        return keep

    def _check_role(self, arn: str) -> None:
        role = next((one for one in iam_backends[self._account.id]["aws"].roles.values() if one.arn == arn), None)
        if role is None or "scheduler.amazonaws.com" not in str(role.assume_role_policy_document):
            raise ValidationException(
                "The execution role you provide must allow AWS EventBridge Scheduler to assume the role."
            )

    def _call(self, target: dict[str, Any]) -> None:
        """Calls a target. A failure is logged, as nobody hears of it on AWS either."""
        service, action = _call_of(target["Arn"])
        try:
            if queue := QUEUE.fullmatch(target["Arn"]):
                url = f"{self._account.endpoint}/{self._account.id}/{queue['name']}"
                asked = {"MessageBody": target["Input"], "QueueUrl": url}
            else:
                asked = json.loads(target["Input"])
            getattr(self._account.client_of_role(target["RoleArn"], service), action)(**asked)
        except (BotoCoreError, ClientError, ValueError) as error:
            log.warning("The schedule's %s failed: %s", action, error)


def _call_of(arn: str) -> tuple[str, str]:
    """The service and the method of its client that a target calls. Raises the service's error for another target."""
    if QUEUE.fullmatch(arn):
        return "sqs", "send_message"
    universal = UNIVERSAL_TARGET.fullmatch(arn)
    if universal is None:
        raise ValidationException(f"The local cloud does not emulate the target {arn}")
    return universal["service"], xform_name(universal["action"][0].upper() + universal["action"][1:])


def _moment(expression: str, zone: str | None) -> datetime | None:
    """The moment of `at(2026-11-30T02:00:00)` in its time zone; None for another expression."""
    match = AT.fullmatch(expression)
    return datetime.fromisoformat(match[1]).replace(tzinfo=ZoneInfo(zone or "UTC")) if match else None
