"""`sd start`, `sd stop`, `sd hold`, `sd teardown`: what decides whether the machine costs money."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.console import Console

from scripts.command_line.deploying.wish import AtMost, EveryType, Types, Yes, read_wish
from scripts.command_line.terminal.common_options import STACK, Profile, Region, Stack
from scripts.command_line.terminal.json_option import Json, print_document
from scripts.command_line.terminal.plain_text import print_plain, say
from scripts.command_line.terminal.typed_options import repeat_typed


def start(
    types: Types = None,
    every: EveryType = False,
    at_most: AtMost = None,
    yes: Yes = False,
    as_json: Json = False,
    stack: Stack = STACK,
    region: Region = None,
    profile: Profile = None,
) -> None:
    """Start the stopped instance, if its deployed job is not done yet, or runs wait in the queue.

    Where AWS has no such instance to give, --types or --any let a new one take its place.
    """
    from scripts.command_line.account.deployment import need_deployment
    from scripts.command_line.account.identity import tell_identity
    from scripts.command_line.account.instance import NoCapacityError, deployed_run_id, start_for_job
    from scripts.command_line.terminal.session import open_session

    wish = read_wish(types, every, at_most, given={})
    session = open_session(region, profile)
    tell_identity(session, stack)
    deployment = need_deployment(session, stack)
    try:
        run_id = deployed_run_id(deployment)
        message = start_for_job(session, deployment, run_id).message
        _tell(message)
        if as_json:
            from scripts.command_line.documents.machine import DeployDocument

            instance = deployment.instance_id
            print_document(DeployDocument(stack=stack, run_id=run_id, instance_id=instance, message=message))
    except NoCapacityError as refused:
        if wish is None:
            raise
        from scripts.command_line.deploying.deploy import deploy as deploy_job

        console = Console(stderr=True)
        print_plain(f"{deployment.instance_id} cannot be started: {refused.why}.", console, soft_wrap=True)
        deploy_job(
            session,
            stack=stack,
            given={},
            context=[],
            fetch_to=None,
            console=console,
            wish=wish,
            yes=yes,
            is_told=True,
            as_json=as_json,
        )


def stop(
    terminate: Annotated[bool, typer.Option("--terminate", help="Delete the instance and its disk instead.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before a run is cut off.")] = False,
    as_json: Json = False,
    stack: Stack = STACK,
    region: Region = None,
    profile: Profile = None,
) -> None:
    """Stop the instance and the fleet; they upload their images first. The instance's disk stays until `sd teardown`.

    The disk costs money.
    """
    from scripts.command_line.account.deployment import need_deployment
    from scripts.command_line.account.identity import tell_identity
    from scripts.command_line.documents.machine import StopDocument
    from scripts.command_line.ending.stop import stop_everything
    from scripts.command_line.terminal.session import open_session

    session = open_session(region, profile)
    tell_identity(session, stack)
    said: list[str] = []

    def tell(message: str) -> None:
        said.append(message)
        _tell(message)

    stop_everything(session, need_deployment(session, stack), terminate=terminate, yes=yes, tell=tell)
    if as_json:
        print_document(StopDocument(messages=said))


def hold(
    length: Annotated[
        str | None, typer.Argument(metavar="LENGTH", help="2h, 90m, 1h30m, or off; default: show the hold.")
    ] = None,
    as_json: Json = False,
    stack: Stack = STACK,
    region: Region = None,
    profile: Profile = None,
) -> None:
    """Keep the idle instance up for a while, from now on. MaxHours still ends the instance."""
    from scripts.command_line.account.deployment import need_deployment
    from scripts.command_line.account.identity import tell_identity
    from scripts.command_line.ending.hold import hold_document, hold_instance
    from scripts.command_line.terminal.session import open_session

    session = open_session(region, profile)
    tell_identity(session, stack)
    deployment = need_deployment(session, stack)
    message = hold_instance(session, deployment, length, now=datetime.now(UTC))
    _tell(message)
    if as_json:
        print_document(hold_document(session, deployment, message))


def teardown(
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before the stack is deleted.")] = False,
    audit_only: Annotated[
        bool, typer.Option("--audit-only", help="Delete nothing, only look for what costs money.")
    ] = False,
    as_json: Json = False,
    stack: Stack = STACK,
    region: Region = None,
    profile: Profile = None,
) -> None:
    """Delete everything but the images. Then look for anything left that costs money."""
    from scripts.command_line.account.identity import tell_identity
    from scripts.command_line.ending.teardown import teardown as tear_down
    from scripts.command_line.terminal.session import open_session

    session = open_session(region, profile)
    tell_identity(session, stack)
    tear_down(session, stack=stack, yes=yes, audit_only=audit_only, console=Console(), as_json=as_json)


def _tell(message: str) -> None:
    say(repeat_typed(message, sys.argv[1:]))
