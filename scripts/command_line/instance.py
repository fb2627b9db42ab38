"""The instance of a deployment: its state, and starting it for a job that is not done."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import boto3
import botocore.exceptions

from scripts.command_line.command_error import CommandError, aws_errors_in_words
from scripts.command_line.deployment import RETRIES, Deployment
from scripts.command_line.parameter_options import check_parameters
from scripts.command_line.runs import read_status
from userdata.worker.job import Job
from userdata.worker.run_name import run_name

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client


@dataclass(frozen=True)
class Start:
    """What `start_for_job` did: whether it started the instance, and a sentence about it."""

    started: bool
    message: str


def deployed_job(deployment: Deployment) -> Job:
    """The job that the stack's parameters describe. Raises `CommandError` when they break today's rules."""
    job, _ = check_parameters(deployment.parameters)
    return job


def deployed_run_id(deployment: Deployment) -> str:
    """The name of the run that the stack's parameters describe. Raises `CommandError` as `deployed_job` does."""
    deployed_job(deployment)
    return run_name(deployment.parameters)


@dataclass(frozen=True)
class InstanceState:
    """EC2's word for the instance's state, and when it was last started: UTC, None once EC2 has forgotten it."""

    name: str
    launched_at: datetime | None


def instance_state(session: boto3.Session, deployment: Deployment) -> InstanceState:
    """The instance's state; `terminated` also once EC2 has forgotten it. Raises `CommandError`."""
    client: EC2Client = session.client("ec2", config=RETRIES)
    with aws_errors_in_words(f"look at the instance {deployment.instance_id}"):
        try:
            described = client.describe_instances(InstanceIds=[deployment.instance_id])
        except botocore.exceptions.ClientError as error:
            if error.response["Error"]["Code"] == "InvalidInstanceID.NotFound":
                return InstanceState("terminated", None)
            raise
    instance = described["Reservations"][0]["Instances"][0]
    return InstanceState(instance["State"]["Name"], instance["LaunchTime"])


def check_not_terminated(instance_id: str, state: InstanceState) -> None:
    """Raises `CommandError`, with the way out, when the instance is gone for good."""
    if state.name in ("terminated", "shutting-down"):
        raise CommandError(
            f"The instance {instance_id} was terminated: it can neither be started nor changed. Make a new one: "
            "`cdk destroy`, then `cdk deploy`; the bucket with its images stays."
        )


def start_for_job(session: boto3.Session, deployment: Deployment) -> Start:
    """Starts the instance if it is stopped and its deployed job is not done.

    CloudFormation is not documented to start a stopped instance whose user data it changes, so nothing may count on
    that. Raises `CommandError` when the instance is gone or cannot be started.
    """
    run_id = deployed_run_id(deployment)
    status = read_status(session.client("s3", config=RETRIES), deployment.bucket, run_id)
    if status and status.phase == "done":
        return Start(
            False,
            f"Nothing to do: run {run_id} is done, see `sd results`. For new images deploy another prompt, or the "
            "same one under a new RunId.",
        )
    instance_id = deployment.instance_id
    state = instance_state(session, deployment)
    check_not_terminated(instance_id, state)
    if state.name in ("pending", "running"):
        return Start(False, f"The instance {instance_id} is {state.name} already, for run {run_id}; see `sd status`.")
    ec2: EC2Client = session.client("ec2", config=RETRIES)
    with aws_errors_in_words(f"start the instance {instance_id}"):
        # It may still be on its way down: a start is refused until it has stopped.
        ec2.get_waiter("instance_stopped").wait(InstanceIds=[instance_id])
        ec2.start_instances(InstanceIds=[instance_id])
    return Start(True, f"Started {instance_id} for run {run_id}; see `sd status`.")
