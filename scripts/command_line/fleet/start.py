"""Starts the machines of a way: the instance of the stack, or as many machines of the fleet as the way has."""

from __future__ import annotations

import time
from contextlib import suppress
from datetime import UTC, datetime

import boto3
from rich.console import Console

from scripts.command_line.account.deployment import RETRIES, Deployment
from scripts.command_line.account.instance import instance_state, start_stopped
from scripts.command_line.account.unfinished_runs import WORKS
from scripts.command_line.account.waiting import is_taken
from scripts.command_line.fleet.closed import closed_because
from scripts.command_line.fleet.group import Group, autoscaling, read_group
from scripts.command_line.fleet.guard import set_guard
from scripts.command_line.terminal.command_error import CommandError, aws_errors_in_words
from scripts.command_line.terminal.plain_text import print_plain
from scripts.command_line.terminal.question import ask
from scripts.interruption.signals import when_interrupted
from userdata.fleet.breakers import CLOSED
from userdata.fleet.decision import Way, wanted_now

# A machine that leaves needs so long from its last look into the queue until EC2 says that it stops.
LEAVES_WITHIN_SECONDS, LEAVES_POLL_SECONDS = 30.0, 2.0


def start_machines(
    session: boto3.Session, deployment: Deployment, way: Way, console: Console, *, yes: bool = False
) -> None:
    """Starts what the way needs, and says so. `yes` reopens a fleet that has closed itself without asking.

    Raises `NoCapacityError` when the instance's zone has no such instance, and `CommandError` otherwise. Whether EC2
    has machines for a fleet shows later: `trouble` tells.
    """
    if not way.offer.of_fleet:
        close_idle_fleet(session, deployment)
        start = start_stopped(session, deployment, "the batch")
        print_plain(start.message, console, soft_wrap=True)
        if not start.started and _leaves(session, deployment):
            print_plain(start_stopped(session, deployment, "the batch").message, console, soft_wrap=True)
        return
    group = need_group(session, deployment)
    reopen(session, deployment, yes=yes)
    due = set_guard(session, group.name, datetime.now(UTC), max_hours(deployment))
    wanted = wanted_now(way, way.machines, group.desired)
    suspend_rebalancing(session, group)
    told = "Interrupted: machines of the fleet may start, and cost money then: `sd status` looks, `sd stop` ends them."
    with when_interrupted(lambda: told), aws_errors_in_words(f"start machines of the fleet {group.name}"):
        autoscaling(session).update_auto_scaling_group(
            AutoScalingGroupName=group.name, MinSize=0, MaxSize=group.size, DesiredCapacity=wanted
        )
    more = "" if wanted == way.machines else ", as for another run before"
    print_plain(
        f"The fleet was told to have {wanted} machine{'s' * (wanted > 1)}{more}. They end by themselves once nothing "
        f"is left to draw, and at {due:%Y-%m-%d %H:%M} UTC whatever happens.",
        console,
        soft_wrap=True,
    )


def _leaves(session: boto3.Session, deployment: Deployment) -> bool:
    """Whether the instance, which has run until now, was about to stop, having looked into the queue for the last time.

    Whoever takes a message stays.
    """
    deadline = time.monotonic() + LEAVES_WITHIN_SECONDS
    with suppress(CommandError):  # who may send to the queue may perhaps not look into it
        while time.monotonic() < deadline:
            time.sleep(LEAVES_POLL_SECONDS)
            if instance_state(session, deployment).name not in WORKS:
                return True
            if is_taken(session, deployment.outputs["BatchQueue"]):
                return False
    return False


def close_idle_fleet(session: boto3.Session, deployment: Deployment) -> None:
    """Sets the maximum of a fleet without machines to 0, for a batch that the instance draws.

    Its alarm would otherwise start a machine of the fleet for what the instance has not taken yet. Whoever sizes the
    fleet sets the maximum again.
    """
    group = read_group(session, deployment)
    if group and not group.desired and not group.machines:
        with aws_errors_in_words(f"keep the fleet {group.name} from starting a machine"):
            autoscaling(session).update_auto_scaling_group(AutoScalingGroupName=group.name, MinSize=0, MaxSize=0)


def need_group(session: boto3.Session, deployment: Deployment) -> Group:
    """The deployment's fleet. Raises `CommandError` where it has none."""
    group = read_group(session, deployment)
    if group is None:
        raise CommandError(f"{deployment.stack} has no fleet. `sd deploy -c fleet=4` adds one of up to 4 machines.")
    return group


def max_hours(deployment: Deployment) -> float:
    """How long a machine of the deployment may run."""
    return float(deployment.parameters["MaxHours"])


def suspend_rebalancing(session: boto3.Session, group: Group) -> None:
    """Keeps Auto Scaling from ending machines that work, for as many in each zone. No template can say that."""
    with aws_errors_in_words(f"suspend AZRebalance of the fleet {group.name}"):
        autoscaling(session).suspend_processes(AutoScalingGroupName=group.name, ScalingProcesses=["AZRebalance"])


def reopen(session: boto3.Session, deployment: Deployment, *, yes: bool) -> None:
    """Opens a fleet that has closed itself, after a yes. Raises `CommandError` without one: then it stays closed."""
    s3 = session.client("s3", config=RETRIES)
    why = closed_because(s3, deployment.bucket)
    if why is None:
        return
    if not yes and not ask(f"{why} Start machines of it all the same?", otherwise="No machine was started"):
        raise CommandError("No machine was started: the fleet stays closed.")
    with aws_errors_in_words(f"delete {CLOSED}"):
        s3.delete_object(Bucket=deployment.bucket, Key=CLOSED)
