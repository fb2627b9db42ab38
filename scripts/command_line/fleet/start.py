"""Starts the machines of a way: the instance of the stack, or as many machines of the fleet as the way has."""

from __future__ import annotations

import boto3
from rich.console import Console

from scripts.command_line.account.deployment import Deployment
from scripts.command_line.account.instance import start_stopped
from scripts.command_line.terminal.plain_text import print_plain
from userdata.fleet.decision import Way


def start_machines(
    session: boto3.Session, deployment: Deployment, way: Way, console: Console, *, yes: bool = False
) -> None:
    """Starts what the way needs, and says so. `yes` reopens a fleet that has closed itself without asking.

    Raises `NoCapacityError` when the instance's zone has no such instance, and `CommandError` otherwise.
    """
    print_plain(start_stopped(session, deployment, "the batch").message, console, soft_wrap=True)
