"""Other commands that change the same stack: they are waited for, because two changes at once make one of them fail."""

from __future__ import annotations

import time

import boto3
from rich.console import Console

from scripts.command_line.account.deployment import find_deployment
from scripts.command_line.terminal.command_error import CommandError
from scripts.command_line.terminal.plain_text import print_plain

POLL_SECONDS = 1.0
OTHER_SECONDS = 1800


def wait_for_others(session: boto3.Session, stack: str, console: Console) -> None:
    """Waits until no other command changes the stack. Raises `CommandError` when that takes too long."""
    deadline = time.monotonic() + OTHER_SECONDS
    is_told = False
    while (found := find_deployment(session, stack)) and found.is_changing:
        if time.monotonic() > deadline:
            raise CommandError(
                f"Another command has changed {stack} for {OTHER_SECONDS // 60} minutes. {found.trouble}"
            )
        if not is_told:
            told = f"{stack} is {found.state}, by another command: waiting for its end."
            print_plain(told, console, soft_wrap=True)
            is_told = True
        time.sleep(POLL_SECONDS)
