"""`sd stop`: ends the running costs of the instance."""

from __future__ import annotations

from typing import TYPE_CHECKING

import boto3
import botocore.exceptions

from scripts.command_line.account.deployment import RETRIES, Deployment
from scripts.command_line.account.instance import InstanceState, instance_state
from scripts.command_line.terminal.command_error import CommandError, aws_errors_in_words

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client

# EC2 takes a few minutes to cut off a guest that does not go by itself.
WAIT = {"Delay": 5, "MaxAttempts": 120}


def stop_instance(session: boto3.Session, deployment: Deployment, *, terminate: bool) -> str:
    """Stops the instance, or terminates it, waits until that is done, and says what was done in a sentence.

    Does nothing when nothing runs. Raises `CommandError` for a spot instance that shall be stopped, which EC2 cannot,
    and when EC2 refuses or the wait takes too long.
    """
    instance_id = deployment.instance_id
    state = instance_state(session, deployment)
    if state.is_gone or (state.name == "stopped" and not terminate):
        return f"Nothing to do: {instance_id} is {state.name}."
    if state.is_spot and not terminate:
        raise CommandError(
            f"{instance_id} is a spot instance, which cannot be stopped, only terminated with its disk: "
            "`sd stop --terminate`. What is in the bucket stays; `sd deploy` makes a new one that goes on."
        )
    ec2: EC2Client = session.client("ec2", config=RETRIES)
    with aws_errors_in_words(f"end the instance {instance_id}"):
        try:
            if terminate:
                ec2.terminate_instances(InstanceIds=[instance_id])
                ec2.get_waiter("instance_terminated").wait(InstanceIds=[instance_id], WaiterConfig=WAIT)  # type: ignore[arg-type]
            else:
                ec2.stop_instances(InstanceIds=[instance_id])
                ec2.get_waiter("instance_stopped").wait(InstanceIds=[instance_id], WaiterConfig=WAIT)  # type: ignore[arg-type]
        except botocore.exceptions.WaiterError as error:
            raise CommandError(
                f"{instance_id} was asked to end, but after ten minutes it has not: look at `sd status`, and try again."
            ) from error
    return _done(instance_id, state, terminate=terminate)


def _done(instance_id: str, before: InstanceState, *, terminate: bool) -> str:
    if terminate:
        return f"Terminated {instance_id} with its disk; what is in the bucket stays. `sd deploy` makes a new one."
    was = "It was on its way already. " if before.name == "stopping" else ""
    return (
        f"Stopped {instance_id}. {was}Its disk goes on costing: `sd teardown` deletes it; "
        "`sd start` goes on with a run that is not done."
    )
