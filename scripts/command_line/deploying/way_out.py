"""The way out of what a failed operation has left of a stack, so that it can be deployed again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Protocol

import boto3
import botocore.exceptions
from rich.console import Console

from scripts.command_line.account.deployment import RETRIES, Deployment, find_deployment
from scripts.command_line.account.instance import instance_state
from scripts.command_line.account.results_bucket import holds_anything
from scripts.command_line.deploying.cdk import cdk
from scripts.command_line.terminal.command_error import CommandError, aws_errors_in_words
from scripts.command_line.terminal.plain_text import print_plain

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_cloudformation.type_defs import StackResourceTypeDef

# What CloudFormation refuses to change before it is rolled back.
ROLLED_BACK = ("UPDATE_FAILED", "UPDATE_ROLLBACK_FAILED")
# What has to be deleted before a stack of that name can be made. `cdk deploy` does so itself for ROLLBACK_FAILED, but
# gives up where a bucket is not empty.
DELETED = ("CREATE_FAILED", "DELETE_FAILED", "ROLLBACK_FAILED")

BUCKET = "AWS::S3::Bucket"
# What a deletion may leave behind, because it costs next to nothing and may hold images: the bucket, and what would
# empty it. An instance or an address that stays would cost money that nobody sees.
LEFT_BEHIND = (BUCKET, "Custom::S3AutoDeleteObjects")
WAIT = {"Delay": 5, "MaxAttempts": 240}


class Rollback(Protocol):
    """How a stack is rolled back, with these settings. Returns whether that worked."""

    def __call__(self, session: boto3.Session, context: Mapping[str, str], *, force: bool) -> bool:
        """`force` passes over what cannot be changed back."""


def cdk_rollback(session: boto3.Session, context: Mapping[str, str], *, force: bool) -> bool:
    """`cdk rollback`, which has the same rights as `cdk deploy`. Returns whether that worked."""
    words = [word for name, value in context.items() for word in ("--context", f"{name}={value}")]
    return cdk(session, ["rollback", *(["--force"] if force else []), *words]) == 0


def find_freed(
    session: boto3.Session,
    stack: str,
    context_of: Callable[[Deployment], Mapping[str, str]],
    console: Console,
    rollback: Rollback = cdk_rollback,
) -> Deployment | None:
    """The stack of that name, or None, led out of the state in which a deploy would fail, whatever it asks for.

    `context_of` gives the settings that a stuck stack is deployed with. What is done is told before, and nothing is
    deleted that shall be kept. Raises `CommandError` when that fails.
    """
    found = find_deployment(session, stack)
    if found is None or not _is_stuck(found):
        return found
    context = context_of(found)
    print_plain(str(found.trouble), console, soft_wrap=True)
    if found.state in ROLLED_BACK:
        _roll_back(session, found, context, console, rollback)
    else:
        delete_the_rest(session, stack, console)
    return find_deployment(session, stack)


def _roll_back(
    session: boto3.Session, stuck: Deployment, context: Mapping[str, str], console: Console, rollback: Rollback
) -> None:
    """Rolls back without force first, because what force passes over may be neither what it was nor what it should be.

    An instance that is gone cannot be changed back, so there it is in vain; the deploy then makes another one.
    """
    gone = "InstanceId" in stuck.outputs and instance_state(session, stuck).is_gone
    if not gone:
        print_plain("Rolling it back, with `cdk rollback`.", console, soft_wrap=True)
        if rollback(session, context, force=False) and _is_free(session, stuck.stack):
            return
    why = f"the instance {stuck.outputs['InstanceId']} is gone" if gone else "something cannot be changed back"
    print_plain(f"Rolling back the rest, with `cdk rollback --force`: {why}.", console, soft_wrap=True)
    if not rollback(session, context, force=True) or not _is_free(session, stuck.stack):
        raise CommandError(
            f"{stuck.stack} could not be rolled back; the lines above say why. Nothing was deployed. Mend that, then "
            "`sd deploy` again; or delete the stack, which keeps your images: `sd teardown`."
        )


def _is_stuck(found: Deployment) -> bool:
    return found.state in (*ROLLED_BACK, *DELETED)


def _is_free(session: boto3.Session, stack: str) -> bool:
    """Whether a rollback that calls itself done is: the CDK ended with 0 where the instance's old type was sold out."""
    found = find_deployment(session, stack)
    return found is None or not _is_stuck(found)


def delete_the_rest(session: boto3.Session, stack: str, console: Console) -> None:
    """Deletes a stack that was not deleted whole, all but a bucket that is not empty. Raises `CommandError`."""
    client: CloudFormationClient = session.client("cloudformation", config=RETRIES)
    print_plain(f"Deleting what is left of {stack}.", console, soft_wrap=True)
    with aws_errors_in_words(f"delete what is left of the stack {stack}"):
        resources = client.describe_stack_resources(StackName=stack)["StackResources"]
        retained: list[str] = []
        while failed := _failed_to_delete(client, stack, retained):
            names = [one["LogicalResourceId"] for one in failed]
            if set(names) <= set(retained) or not all(one["ResourceType"] in LEFT_BEHIND for one in failed):
                raise CommandError(_not_deleted(stack, failed))
            retained = names
    s3 = session.client("s3", config=RETRIES)
    for bucket in (one["PhysicalResourceId"] for one in resources if one["ResourceType"] == BUCKET):
        if holds_anything(s3, bucket):
            print_plain(f"Bucket {bucket} stays: `sd results --bucket {bucket}`.", console, soft_wrap=True)


def _failed_to_delete(client: CloudFormationClient, stack: str, retained: list[str]) -> list[StackResourceTypeDef]:
    """Deletes the stack but for the resources `retained`; returns what is left when that fails."""
    if retained:
        client.delete_stack(StackName=stack, RetainResources=retained)
    else:  # CloudFormation takes a list only after a deletion that failed
        client.delete_stack(StackName=stack)
    try:
        client.get_waiter("stack_delete_complete").wait(StackName=stack, WaiterConfig=WAIT)  # type: ignore[arg-type]
    except botocore.exceptions.WaiterError:
        left = client.describe_stack_resources(StackName=stack)["StackResources"]
        return [one for one in left if one["ResourceStatus"] == "DELETE_FAILED"] or left
    return []


def _not_deleted(stack: str, failed: list[StackResourceTypeDef]) -> str:
    reasons = "; ".join(f"{one['LogicalResourceId']}: {one.get('ResourceStatusReason', 'no reason')}" for one in failed)
    return (
        f"Not all of the stack {stack} could be deleted ({reasons}). Remove what is in the way, then run the command "
        "again; `sd teardown --audit-only` shows everything that is left."
    )
