"""Lets a batch begin at a time, while no computer of a person's is on: EventBridge Scheduler's one-time schedules."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import boto3
import botocore.exceptions

from scripts.command_line.account.deployment import RETRIES, Deployment
from scripts.command_line.terminal.command_error import CommandError, aws_errors_in_words
from userdata.contract.work import BATCH, queue_name, read_message
from userdata.fleet.decision import Way

if TYPE_CHECKING:
    from mypy_boto3_scheduler import EventBridgeSchedulerClient

ROLE = "ReleaseRole"
# What a schedule does, by the last part of its name.
RELEASE, START = "release", "start"


def release_at(session: boto3.Session, deployment: Deployment, body: str, way: Way, when: datetime) -> None:
    """At `when`, a time with a zone, sends the message `body` to the batch queue and starts the machines of the way.

    The machines come first, so that a schedule that AWS refuses leaves no message behind that nobody draws. Raises
    `CommandError`; then nothing is planned.
    """
    run_id = read_message(body)
    if ROLE not in deployment.outputs:
        raise CommandError(
            f"{deployment.stack} was deployed by an earlier version, and has no role for schedules. `sd deploy` adds "
            "it; the disk stays."
        )
    queue = _arn_of_queue(session, deployment)
    try:
        _put(session, deployment, run_id, START, when, *_starting(deployment, way))
        _put(session, deployment, run_id, RELEASE, when, queue, body)
    except BaseException:
        cancel_release(session, deployment, run_id)
        raise


def cancel_release(session: boto3.Session, deployment: Deployment, run_id: str) -> bool:
    """Deletes the schedules of a run, and says whether there were any. Raises `CommandError`."""
    deleted = [_delete(session, _name(deployment, run_id, what)) for what in (RELEASE, START)]
    return any(deleted)


def delete_releases(session: boto3.Session, deployment: Deployment) -> int:
    """Deletes the schedules of all runs of the stack, which would outlive it. Raises `CommandError`.

    Returns how many there were.
    """
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


def _starting(deployment: Deployment, way: Way) -> tuple[str, str]:
    """The target of the schedule that starts the machines, and its input."""
    return "arn:aws:scheduler:::aws-sdk:ec2:startInstances", json.dumps({"InstanceIds": [deployment.instance_id]})


def _put(
    session: boto3.Session, deployment: Deployment, run_id: str, what: str, when: datetime, target: str, text: str
) -> None:
    """Makes a schedule, or changes the one of that name. AWS deletes it once it has been at work."""
    name = _name(deployment, run_id, what)
    scheduler = _scheduler(session)
    request = {
        "Name": name,
        "ScheduleExpression": f"at({when.astimezone(UTC):%Y-%m-%dT%H:%M:%S})",
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
