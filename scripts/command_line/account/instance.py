"""The instance of a deployment: its state, and how it is started for a job that is not done."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import boto3
import botocore.exceptions

from scripts.command_line.account.deployment import RETRIES, Deployment
from scripts.command_line.account.plan import OF_NO_LAUNCH, Plan
from scripts.command_line.account.runs import read_status
from scripts.command_line.account.waiting import runs_waiting, waiting_in_words
from scripts.command_line.account.zones import kept_in_words, types_to_try
from scripts.command_line.terminal.command_error import CommandError, aws_errors_in_words
from scripts.command_line.terminal.parameter_options import check_parameters
from scripts.interruption.signals import when_interrupted
from userdata.contract.run_name import run_name
from userdata.contract.status import Status

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client


# EC2's words for an instance that is terminated, or about to be.
GONE = ("terminated", "shutting-down")
# EC2 takes a few minutes to cut off a guest that does not shut down by itself.
STOPS_WITHIN_SECONDS = 600
STOPPING_POLL_SECONDS = 2.0
SOLD_OUT = "AWS has no such instance to give in this zone at the moment"


class NoCapacityError(CommandError):
    """AWS has no such instance to give; another zone or another type may help. `why` is the reason in a few words."""

    def __init__(self, message: str, *, why: str = SOLD_OUT) -> None:
        super().__init__(message)
        self.why = why


@dataclass(frozen=True)
class Start:
    """What `start_for_job` did: whether it started the instance, and a sentence about it."""

    started: bool
    message: str


def deployed_run_id(deployment: Deployment) -> str:
    """The name of the run that the stack's parameters describe.

    Raises `CommandError` when they break today's rules, when their true characters cannot be told, and while the stack
    has a bucket alone, which has no parameters.
    """
    if deployment.is_bucket_alone:
        raise CommandError(str(deployment.trouble))
    deployment.need_told()
    check_parameters(deployment.parameters)
    return run_name(deployment.parameters)


def known_run_id(deployment: Deployment) -> str | None:
    """The same, or None where that cannot be told."""
    try:
        return deployed_run_id(deployment)
    except CommandError:
        return None


@dataclass(frozen=True)
class InstanceState:
    """EC2's word for the instance's state, and when it was last started: UTC, None once EC2 has forgotten it.

    `is_spot` says that the instance can be terminated, but not stopped.
    """

    name: str
    launched_at: datetime | None
    is_spot: bool = False

    @property
    def is_gone(self) -> bool:
        """Whether the instance is terminated, or about to be."""
        return self.name in GONE


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
    return InstanceState(
        instance["State"]["Name"], instance["LaunchTime"], is_spot=instance.get("InstanceLifecycle") == "spot"
    )


def instance_to_replace(session: boto3.Session, plan: Plan) -> str | None:
    """The id of the deployment's instance where that is gone and the plan has work for one. Raises `CommandError`.

    CloudFormation cannot change an instance that was terminated behind its back: the update would fail half-way. A plan
    without work replaces nothing, because a new instance would cost a boot for nothing.
    """
    deployment = plan.deployment
    if deployment is None or "Replaces" in plan.changes or not instance_state(session, deployment).is_gone:
        return None
    before = deployment.parameters
    changed = any(before.get(name) != value for name, value in plan.changes.items() if name not in OF_NO_LAUNCH)
    status = read_status(session.client("s3", config=RETRIES), deployment.bucket, plan.run_id)
    has_work = changed or status is None or status.phase != "done" or runs_waiting(session, deployment)
    return deployment.instance_id if has_work else None


def start_for_job(session: boto3.Session, deployment: Deployment, run_id: str) -> Start:
    """Starts the instance if it is stopped and the deployed job, whose run is `run_id`, is not done, or others wait.

    CloudFormation is not documented to start a stopped instance whose user data it changes, so no command relies on
    that. Raises `NoCapacityError` when its zone has no such instance to give, and `CommandError` when the instance is
    gone or cannot be started.
    """
    status = read_status(session.client("s3", config=RETRIES), deployment.bucket, run_id)
    nothing = _nothing_to_do(deployment, run_id, status)
    if nothing is None:
        return start_stopped(session, deployment, f"run {run_id}")
    waiting = runs_waiting(session, deployment)
    return start_stopped(session, deployment, waiting_in_words(waiting)) if waiting else Start(False, nothing)


def _nothing_to_do(deployment: Deployment, run_id: str, status: Status | None) -> str | None:
    """Why the deployed job needs no instance, in a sentence; None where it does."""
    if status and status.phase == "done":
        return (
            f"Nothing to do: run {run_id} is done; see `sd results`. For new images, deploy another prompt, or the "
            "same prompt under a new RunId."
        )
    limit = float(deployment.parameters.get("MaxSpend", "0"))
    if status and status.phase == "capped" and 0 < limit <= (status.max_spend or 0):
        return f"Nothing to do: run {run_id} has ended at MaxSpend. To go on, raise it: `sd deploy --max-spend 5`."
    return None


def start_stopped(session: boto3.Session, deployment: Deployment, work: str) -> Start:
    """Starts the instance if it is stopped, and once it is if it is stopping, for the `work` that is named.

    Two may ask at once: the second finds it started. Raises as `start_for_job` does, and `CommandError` when the
    instance takes more than ten minutes to stop.
    """
    instance_id = deployment.instance_id
    state = _state_that_stays(session, deployment)
    if state.is_gone:
        raise CommandError(
            f"The instance {instance_id} was terminated, so it can neither be started nor changed. `sd deploy` makes a "
            f"new one in its place, and so does `cdk deploy --parameters Replaces={instance_id}`. The bucket keeps the "
            "images, and the run goes on from there."
        )
    if state.name in ("pending", "running"):
        return Start(False, f"The instance {instance_id} is {state.name} already, for {work}; see `sd status`.")
    ec2: EC2Client = session.client("ec2", config=RETRIES)
    told = f"Interrupted: {instance_id} may have started, and costs money then: `sd status` looks, `sd stop` ends it."
    with when_interrupted(lambda: told), aws_errors_in_words(f"start the instance {instance_id}"):
        try:
            ec2.start_instances(InstanceIds=[instance_id])
        except botocore.exceptions.ClientError as error:
            if error.response["Error"]["Code"] == "InsufficientInstanceCapacity":
                raise NoCapacityError(_sold_out(deployment)) from error
            raise
    return Start(True, f"Started {instance_id} for {work}; see `sd status`.")


def _state_that_stays(session: boto3.Session, deployment: Deployment) -> InstanceState:
    """The instance's state once it is not stopping any more: EC2 refuses to start one that is.

    Rejected: EC2's waiter, which fails when somebody else has started the instance meanwhile.
    """
    deadline = time.monotonic() + STOPS_WITHIN_SECONDS
    while (state := instance_state(session, deployment)).name == "stopping":
        if time.monotonic() > deadline:
            raise CommandError(
                f"The instance {deployment.instance_id} is still stopping after {STOPS_WITHIN_SECONDS // 60} minutes, "
                "so it cannot be started yet. Look at `sd status`, and try again."
            )
        time.sleep(STOPPING_POLL_SECONDS)
    return state


def _sold_out(deployment: Deployment) -> str:
    types = ",".join(types_to_try(*check_parameters(deployment.parameters)))
    return (
        f"{deployment.instance_id} cannot be started: {SOLD_OUT}. Try again later, or let a new instance take its "
        f"place where AWS has one: `sd start --types {types}`. The bucket keeps the images, and what it caches of "
        "environment and weights makes the new boot shorter."
    )


def kept_on_the_card(deployment: Deployment) -> list[str]:
    """In which type the weights of the deployed model are kept, if not in their own; nothing where that is untold."""
    with contextlib.suppress(CommandError):
        job, machine = check_parameters(deployment.parameters)
        return list(filter(None, [kept_in_words(job, machine.instance_type)]))
    return []
