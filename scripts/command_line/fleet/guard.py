"""The guard outside: a scheduled action of Auto Scaling that ends all of the fleet's machines, whatever goes wrong.

A sizing is guarded until `MaxHours` after it, which needs nobody's computer and none of the machines. Sizings that
overlap have one guard, at the end of the last: else the guard of the first would end the machines of the second.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3

from scripts.command_line.fleet.group import autoscaling
from scripts.command_line.terminal.command_error import CommandError, aws_errors_in_words

# The beginning of what is guarded stands in the action's name, and its end is when the action is due.
NAME = "guard-%Y-%m-%dT%H.%M.%SZ"
Guarded = tuple[datetime, datetime]


def merged(begins: datetime, hours: float, guarded: Iterable[Guarded]) -> tuple[Guarded, list[Guarded]]:
    """What the guard of a sizing at `begins` has to span, and which of the guards that there are it stands for."""
    first, last, covered = begins, begins + timedelta(hours=hours), []
    for begin, end in sorted(guarded):
        if begin <= last and first <= end:
            first, last = min(first, begin), max(last, end)
            covered.append((begin, end))
    return (first, last), covered


def set_guard(session: boto3.Session, group: str, begins: datetime, hours: float) -> datetime:
    """Sets the guard of the machines that start at `begins`, and says when it is due. Raises `CommandError`.

    The new guard is there before those that it stands for are deleted.
    """
    client = autoscaling(session)
    try:
        with aws_errors_in_words("set the guard of the fleet"):
            pages = client.get_paginator("describe_scheduled_actions").paginate(AutoScalingGroupName=group)
            actions = {one["ScheduledActionName"]: one for page in pages for one in page["ScheduledUpdateGroupActions"]}
            guarded = [(begin, one["StartTime"]) for name, one in actions.items() if (begin := _begin(name))]
            (first, last), covered = merged(begins.astimezone(UTC).replace(microsecond=0), hours, guarded)
            if (first, last) in covered:
                return last
            # Auto Scaling refuses a second action for the same moment.
            last += timedelta(seconds=any(end == last and begin != first for begin, end in covered))
            nothing: dict[str, Any] = {"MinSize": 0, "MaxSize": 0, "DesiredCapacity": 0}
            client.put_scheduled_update_group_action(
                AutoScalingGroupName=group, ScheduledActionName=first.strftime(NAME), StartTime=last, **nothing
            )
            for begin in {begin for begin, _ in covered} - {first}:
                client.delete_scheduled_action(AutoScalingGroupName=group, ScheduledActionName=begin.strftime(NAME))
    except CommandError as error:
        raise CommandError(
            f"{error} So no machine of the fleet was started, because nothing would end it if all else failed."
        ) from error
    return last


def _begin(name: str) -> datetime | None:
    """The beginning of what the action of that name guards, None where it is somebody else's action."""
    try:
        return datetime.strptime(name, NAME).replace(tzinfo=UTC)
    except ValueError:
        return None
