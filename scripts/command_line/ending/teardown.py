"""`sd teardown`: destroys the stack, then looks for anything left that costs money."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import boto3
from rich.console import Console

from scripts.command_line.account.deployment import Deployment, deployed_settings, find_deployment
from scripts.command_line.account.goes_on import deletion_goes_on
from scripts.command_line.account.unfinished_runs import run_in_progress
from scripts.command_line.account.waiting import runs_waiting, waiting_in_words
from scripts.command_line.deploying.cdk import cdk_destroy
from scripts.command_line.deploying.consent import cut_off
from scripts.command_line.deploying.way_out import delete_the_rest
from scripts.command_line.documents.machine import LeftRow, TeardownDocument
from scripts.command_line.ending.audit.audit import Audit, look_through, show_leftovers
from scripts.command_line.ending.audit.leftover import Leftover
from scripts.command_line.fleet.at import delete_releases
from scripts.command_line.fleet.group import read_group
from scripts.command_line.fleet.stop import machines_in_words
from scripts.command_line.terminal.command_error import CommandError
from scripts.command_line.terminal.json_option import print_document
from scripts.command_line.terminal.plain_text import say
from scripts.command_line.terminal.question import ask
from scripts.interruption.signals import when_interrupted


def teardown(
    session: boto3.Session,
    *,
    stack: str,
    yes: bool,
    audit_only: bool,
    console: Console,
    as_json: bool = False,
    destroy: Callable[[boto3.Session, str], None] = cdk_destroy,
) -> None:
    """Destroys the stack after a yes, unless `audit_only`, and prints what is left, with `as_json` as a document, too.

    The stack decides whether the bucket stays. Raises `CommandError`, after the audit, when the destroy fails and while
    anything other than the images is left that costs money.
    """
    deployment = find_deployment(session, stack)
    failure = None if audit_only else _destroy(session, stack, deployment, destroy, console, yes=yes)
    own_bucket = deployed_settings(deployment).get("output_bucket")
    is_deleted = deployment is not None and not audit_only and failure is None
    told = f"Interrupted: {stack} is deleted, its images aside. `sd teardown --audit-only` looks for what is left."
    with when_interrupted(lambda: told if is_deleted else ""):
        found = look_through(session, {own_bucket: stack} if own_bucket else {})
    left = found.left
    if left or not found.standing:  # what stands is not left over, and is told below
        show_leftovers(left, console)
    if as_json:
        print_document(_document(session, stack, found, is_deleted=is_deleted))
    if failure:
        raise failure
    costly = [one for one in left if not one.is_free and not one.is_result]
    if costly:
        raise CommandError(_still_costs(costly, session.region_name))
    images = sum(one.usd_per_month or 0 for one in left)
    aside = f"your images aside (${images:.2f} a month)" if any(one.is_result for one in left) else "images included"
    if found.standing:
        ways = "; ".join(
            f"{name}: `sd teardown --stack {name}`"
            + (" waits until it is deleted" if state == "DELETE_IN_PROGRESS" else "")
            for name, state in found.standing.items()
        )
        say(f"These stacks of this project stand in {session.region_name}, and cost money: {ways}.")
        return
    say(f"Nothing of this project that costs money is left in {session.region_name}, {aside}.")


def _document(session: boto3.Session, stack: str, found: Audit, *, is_deleted: bool) -> TeardownDocument:
    rows = [
        LeftRow(
            kind=one.kind,
            id=one.id,
            detail=one.detail,
            usd_per_month=one.usd_per_month,
            is_result=one.is_result,
            command=one.command,
        )
        for one in found.left
    ]
    region = session.region_name or ""
    return TeardownDocument(region=region, stack=stack, deleted=is_deleted, left=rows, standing=[*found.standing])


def _still_costs(costly: list[Leftover], region: str) -> str:
    things = "1 thing" if len(costly) == 1 else f"{len(costly)} things"
    total = sum(one.usd_per_month or 0 for one in costly)
    more = " and what is not known" if any(one.usd_per_month is None for one in costly) else ""
    return (
        f"{things} in {region} would go on costing ${total:.2f}{more} a month. Run the commands above, then "
        "look again: `sd teardown`."
    )


def _destroy(
    session: boto3.Session,
    stack: str,
    deployment: Deployment | None,
    destroy: Callable[[boto3.Session, str], None],
    console: Console,
    *,
    yes: bool,
) -> CommandError | None:
    """Destroys the stack, if there is one. Returns a failure, because the audit matters even more then."""
    if deployment is None:
        say(f"There is no stack {stack} in {session.region_name}.")
        return None
    told = ""
    with suppress(CommandError):  # nothing to ask about where the bucket, the instance or a queue is gone
        run = run_in_progress(session, deployment)
        told = f"{cut_off(run, deployment)} " if run else ""
        if group := read_group(session, deployment):
            count = machines_in_words(len(group.machines))
            told += f"{count} of the fleet will end, with what they draw. " if group.machines else ""
        if waiting := runs_waiting(session, deployment):
            told += f"{waiting_in_words(waiting)} will not be drawn to the end, because the queues are deleted. "
    if yes:
        console.print(told, highlight=False, markup=False, soft_wrap=True, end="\n" if told else "")
    elif not ask(
        f"{told}Delete the stack {stack} in {session.region_name}: its instance, its disk and its network? "
        "The bucket with your images stays, unless you deployed with keep_results=false.",
        otherwise="Nothing was deleted",
    ):
        raise CommandError(f"Nothing was deleted: {stack} is as it was; see `sd status`.")
    with when_interrupted(lambda: deletion_goes_on(session, stack)):
        try:
            delete_releases(session, deployment)
            destroy(session, stack)
        except CommandError as error:
            left = find_deployment(session, stack)
            if left is None or left.state != "DELETE_FAILED":
                return error
            try:
                delete_the_rest(session, stack, console)
            except CommandError as other:
                return other
    return None
