"""`sd stop`: stops the instance and ends the fleet's machines, and with them the costs of running."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

import boto3
import botocore.exceptions

from scripts.command_line.account.deployment import RETRIES, Deployment
from scripts.command_line.account.instance import instance_state
from scripts.command_line.account.unfinished_runs import run_in_progress
from scripts.command_line.deploying.consent import cut_off
from scripts.command_line.fleet.group import read_group
from scripts.command_line.fleet.stop import machines_in_words, stop_fleet
from scripts.command_line.terminal.command_error import CommandError, aws_errors_in_words
from scripts.command_line.terminal.question import ask, is_somebody_there
from scripts.interruption.signals import when_interrupted

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client

# EC2 takes a few minutes to cut off a guest that does not shut down by itself.
WAIT = {"Delay": 5, "MaxAttempts": 120}


def stop_everything(
    session: boto3.Session, deployment: Deployment, *, terminate: bool, yes: bool, tell: Callable[[str], None]
) -> None:
    """Ends the fleet's machines and stops the instance, each whatever becomes of the other, and tells of both.

    Asks first where that cuts off a run, which may be another person's, unless `yes`. Where nobody can answer, it says
    so and stops all the same, because a machine that goes on costs money, and what stops can go on later.

    Raises `CommandError` after a no, as `stop_instance` does, and where the fleet cannot be told.
    """
    if cut := cuts_off(session, deployment):
        if yes or not is_somebody_there():
            tell(cut)
        elif not ask(f"{cut} Stop?", otherwise="Nothing was stopped"):
            raise CommandError("Nothing was stopped; see `sd status`.")
    failure: CommandError | None = None
    try:
        if told := stop_fleet(session, deployment):
            tell(told)
    except CommandError as error:
        failure = error
    tell(stop_instance(session, deployment, terminate=terminate))
    if failure:
        raise failure


def cuts_off(session: boto3.Session, deployment: Deployment) -> str:
    """What the stop cuts off, in sentences; empty for nothing, and where that cannot be told."""
    told = []
    with suppress(CommandError):
        if run := run_in_progress(session, deployment):
            told.append(cut_off(run, deployment))
    with suppress(CommandError):
        if (group := read_group(session, deployment)) and group.machines:
            told.append(f"{machines_in_words(len(group.machines))} of the fleet will end, with what they draw.")
    return " ".join(told)


def stop_instance(session: boto3.Session, deployment: Deployment, *, terminate: bool) -> str:
    """Stops or terminates the instance, waits for the end, and returns a sentence about it.

    Does nothing when nothing runs. Raises `CommandError` for a stop of a spot instance, which EC2 cannot do, when EC2
    refuses, and when the wait takes too long.
    """
    instance_id = deployment.instance_id
    state = instance_state(session, deployment)
    if state.is_gone or (state.name == "stopped" and not terminate):
        return f"Nothing to do: {instance_id} is {state.name}."
    if state.is_spot and not terminate:
        raise CommandError(
            f"{instance_id} is a spot instance, which cannot be stopped, only terminated with its disk: "
            "`sd stop --terminate`. The bucket keeps the images; `sd deploy` makes a new instance that goes on."
        )
    ec2: EC2Client = session.client("ec2", config=RETRIES)
    told = f"Interrupted, but {instance_id} ends all the same, once AWS has heard of it: `sd status` shows its state."
    with when_interrupted(lambda: told), aws_errors_in_words(f"end the instance {instance_id}"):
        try:
            if terminate:
                ec2.terminate_instances(InstanceIds=[instance_id])
                ec2.get_waiter("instance_terminated").wait(InstanceIds=[instance_id], WaiterConfig=WAIT)  # type: ignore[arg-type]
            else:
                ec2.stop_instances(InstanceIds=[instance_id])
                ec2.get_waiter("instance_stopped").wait(InstanceIds=[instance_id], WaiterConfig=WAIT)  # type: ignore[arg-type]
        except botocore.exceptions.WaiterError as error:
            raise CommandError(
                f"{instance_id} was told to end, but has not ended in ten minutes. Look at `sd status`, and try again."
            ) from error
    if terminate:
        return f"Terminated {instance_id} with its disk; the bucket keeps the images. `sd deploy` makes a new instance."
    was = "It was stopping already. " if state.name == "stopping" else ""
    return (
        f"Stopped {instance_id}. {was}Its disk goes on costing money: `sd teardown` deletes the disk, and `sd start` "
        "goes on with a run that is not done."
    )
