"""Finds and removes what a proof has left in the account, whoever has ended it, and nothing else."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import botocore.exceptions

from scripts.command_line.account.deployment import RETRIES
from scripts.command_line.terminal.command_error import aws_errors_in_words
from scripts.proof.account import Account
from scripts.proof.place import STACK, hourly
from scripts.proof.terminal import Terminal

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient

AGAIN = "./scripts/test --aws --remove"
# CloudFormation refuses to delete a stack in any other state in which it is at work.
DELETED_AT_ONCE = ("CREATE_IN_PROGRESS", "REVIEW_IN_PROGRESS", "DELETE_IN_PROGRESS")
OPERATION_MINUTES = 30.0
# A deletion can fail once, for example while a network interface goes away.
TRIES = 3


def what_is_there(account: Account) -> str:
    """A sentence about everything of a proof that is in the region; empty for nothing. Raises `CommandError`."""
    look = account.look()
    if look.state == "gone":
        things = [thing for thing, _ in _left_behind(account)]
    else:
        billed = account.billed()
        usd = sum(hourly(account.region, name) or 0 for name in billed)
        things = [f"the stack {STACK} ({look.state})"]
        things += [f"{len(billed)} running of its instances (${usd:.2f} an hour)"] if billed else []
    return f"{account.region} has {', '.join(things)}." if things else ""


def remove(account: Account, terminal: Terminal) -> None:
    """Deletes the stack, then whatever else carries its name, by the commands that `sd teardown` prints for that.

    Rejected: `cdk destroy`, which needs Node and a synthesis, and waits for no other operation. Raises `CommandError`.
    """
    for _ in range(TRIES):
        if account.look().state == "gone":
            break
        _delete_stack(account, terminal)
    for _, command in _left_behind(account):
        terminal.run(*shlex.split(command), "--region", account.region)


def _left_behind(account: Account) -> list[tuple[str, str]]:
    """What the stack has left in the region, and the command that removes it."""
    found = [(f"the {one.kind} {one.id}", one.command) for one in account.audited() if one.kind != "bucket"]
    return found + [(f"the bucket {name}", f"aws s3 rb --force s3://{name}") for name in account.buckets()]


def _delete_stack(account: Account, terminal: Terminal) -> None:
    def is_settled() -> bool:
        state = account.look().state
        return not state.endswith("_IN_PROGRESS") or state in DELETED_AT_ONCE

    def is_deleted() -> bool:
        state = account.look().state
        return state in ("gone", "DELETE_FAILED")

    terminal.wait(f"CloudFormation to end what it does with {STACK}", is_settled, minutes=OPERATION_MINUTES)
    client: CloudFormationClient = account.session.client("cloudformation", config=RETRIES)
    with aws_errors_in_words(f"delete the stack {STACK}"):
        try:
            client.delete_stack(StackName=STACK)
        except botocore.exceptions.ClientError as error:
            if "cannot be deleted while in status" in str(error):
                return  # it has begun something else meanwhile, for which the next try waits
            raise
    terminal.wait(f"the stack {STACK} to be deleted", is_deleted, minutes=OPERATION_MINUTES)
