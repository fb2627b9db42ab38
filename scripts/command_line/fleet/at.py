"""Lets a batch begin at a time, while no computer of a person's is on: EventBridge Scheduler's one-time schedules.

One schedule sends the message that releases the batch, another starts the machines. A fleet is started by its minimum,
which raises its capacity and never lowers one that another run has asked for by then; a minute later a third schedule
takes the minimum away, because machines could not leave below it.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import boto3
import botocore.exceptions

from scripts.command_line.account.deployment import RETRIES, Deployment
from scripts.command_line.fleet.group import Group
from scripts.command_line.fleet.guard import set_guard
from scripts.command_line.fleet.start import close_idle_fleet, max_hours, need_group, reopen, suspend_rebalancing
from scripts.command_line.terminal.command_error import CommandError, aws_errors_in_words
from userdata.contract.work import BATCH, queue_name, read_message
from userdata.fleet.decision import Way

if TYPE_CHECKING:
    from mypy_boto3_scheduler import EventBridgeSchedulerClient

ROLE = "ReleaseRole"
# What a schedule does, by the last part of its name.
RELEASE, START, SETTLE = "release", "start", "settle"
EXPRESSION = "at(%Y-%m-%dT%H:%M:%S)"
SIZE = "autoscaling:updateAutoScalingGroup"
SETTLES_AFTER = timedelta(minutes=1)


def release_at(
    session: boto3.Session, deployment: Deployment, body: str, way: Way, when: datetime, *, yes: bool = False
) -> None:
    """At `when`, a time with a zone, sends the message `body` to the batch queue and starts the machines of the way.

    `yes` reopens a fleet that has closed itself without asking. Raises `CommandError`; then nothing is planned.
    """
    run_id = read_message(body)
    if ROLE not in deployment.outputs:
        raise CommandError(
            f"{deployment.stack} was deployed by an earlier version, and has no role for schedules. `sd deploy` adds "
            "it; the disk stays."
        )
    queue = _arn_of_queue(session, deployment)
    group = need_group(session, deployment) if way.offer.of_fleet else None
    if group is None:
        close_idle_fleet(session, deployment)
    else:
        reopen(session, deployment, yes=yes)
        set_guard(session, group.name, when, max_hours(deployment))
        suspend_rebalancing(session, group)
    try:
        _put(session, deployment, run_id, START, when, *_starting(deployment, way, group))
        if group:
            without = {"AutoScalingGroupName": group.name, "MinSize": 0}
            _put(session, deployment, run_id, SETTLE, when + SETTLES_AFTER, _action(deployment, SIZE), without)
        _put(session, deployment, run_id, RELEASE, when, queue, body)
    except BaseException:
        cancel_release(session, deployment, run_id)
        raise


def cancel_release(session: boto3.Session, deployment: Deployment, run_id: str) -> bool:
    """Deletes the schedules of a run, and says whether there were any. Raises `CommandError`."""
    deleted = [_delete(session, _name(deployment, run_id, what)) for what in (RELEASE, START, SETTLE)]
    return any(deleted)


def planned_for(session: boto3.Session, deployment: Deployment, run_id: str) -> datetime | None:
    """When the run is going to be released, in UTC; None where no schedule says so. Raises `CommandError`."""
    scheduler = _scheduler(session)
    with aws_errors_in_words(f"look for the schedule of run {run_id}"):
        try:
            found = scheduler.get_schedule(Name=_name(deployment, run_id, RELEASE))
        except scheduler.exceptions.ResourceNotFoundException:
            return None
    return datetime.strptime(found["ScheduleExpression"], EXPRESSION).replace(tzinfo=UTC)


def delete_releases(session: boto3.Session, deployment: Deployment) -> int:
    """Deletes the schedules of all runs of the stack, which would outlive it. Raises `CommandError`.

    Returns how many there were.
    """
    if "BatchQueue" not in deployment.outputs:
        return 0
    scheduler = _scheduler(session)
    with aws_errors_in_words("look for schedules"):
        pages = scheduler.get_paginator("list_schedules").paginate(NamePrefix=f"{_prefix(deployment)}-")
        names = [one["Name"] for page in pages for one in page["Schedules"]]
    return sum([_delete(session, name) for name in names])


def _scheduler(session: boto3.Session) -> EventBridgeSchedulerClient:
    return session.client("scheduler", config=RETRIES)


def _prefix(deployment: Deployment) -> str:
    """The beginning of the queues' names, which is the stack's own."""
    return deployment.outputs["BatchQueue"].rpartition("/")[2].removesuffix(queue_name("", BATCH))


def _name(deployment: Deployment, run_id: str, what: str) -> str:
    """The name of a schedule: it may have 64 characters, so that of the run it has the digest alone."""
    return f"{_prefix(deployment)}-{run_id[-10:]}-{what}"


def _arn_of_queue(session: boto3.Session, deployment: Deployment) -> str:
    sqs = session.client("sqs", config=RETRIES)
    with aws_errors_in_words("look at the batch queue"):
        url = deployment.outputs["BatchQueue"]
        return sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]


def _action(deployment: Deployment, name: str) -> str:
    """The target of a schedule that calls this action of AWS's."""
    partition = deployment.outputs[ROLE].split(":")[1]
    return f"arn:{partition}:scheduler:::aws-sdk:{name}"


def _starting(deployment: Deployment, way: Way, group: Group | None) -> tuple[str, dict[str, Any]]:
    """The target of the schedule that starts the machines, and its input."""
    if group is None:
        return _action(deployment, "ec2:startInstances"), {"InstanceIds": [deployment.instance_id]}
    size = {"AutoScalingGroupName": group.name, "MinSize": min(way.machines, group.size), "MaxSize": group.size}
    return _action(deployment, SIZE), size


def _put(
    session: boto3.Session,
    deployment: Deployment,
    run_id: str,
    what: str,
    when: datetime,
    target: str,
    given: str | dict[str, Any],
) -> None:
    """Makes a schedule, or changes the one of that name. AWS deletes it once it has been at work."""
    name = _name(deployment, run_id, what)
    scheduler = _scheduler(session)
    text = given if isinstance(given, str) else json.dumps(given)
    request = {
        "Name": name,
        "ScheduleExpression": when.astimezone(UTC).strftime(EXPRESSION),
        "ScheduleExpressionTimezone": "UTC",
        "FlexibleTimeWindow": {"Mode": "OFF"},
        "ActionAfterCompletion": "DELETE",
        "Description": f"Run {run_id} of {deployment.stack}",
        "Target": {"Arn": target, "RoleArn": deployment.outputs[ROLE], "Input": text},
    }
    with aws_errors_in_words(f"plan run {run_id} for {when:%Y-%m-%d %H:%M %Z}"):
        try:
            scheduler.create_schedule(**request)  # type: ignore[arg-type]
        except scheduler.exceptions.ConflictException:
            scheduler.update_schedule(**request)  # type: ignore[arg-type]


def _delete(session: boto3.Session, name: str) -> bool:
    with aws_errors_in_words(f"delete the schedule {name}"):
        try:
            _scheduler(session).delete_schedule(Name=name)
        except botocore.exceptions.ClientError as error:
            if error.response["Error"]["Code"] != "ResourceNotFoundException":
                raise
            return False
    return True
