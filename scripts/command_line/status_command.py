"""`sd status`: its options."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console

from scripts.command_line.terminal.common_options import STACK, Profile, Region, Stack
from scripts.command_line.terminal.json_option import Json, print_document


def status(
    timeline: Annotated[
        bool, typer.Option("--timeline", help="Show where the time of each boot went, and how busy the GPU was.")
    ] = False,
    as_json: Json = False,
    stack: Stack = STACK,
    region: Region = None,
    profile: Profile = None,
) -> None:
    """Show the instance, and how far the deployed job and the latest three batches are."""
    from scripts.command_line.account.deployment import find_deployment, need_deployment
    from scripts.command_line.terminal.session import open_session

    session = open_session(region, profile)
    deployment = find_deployment(session, stack)
    # Behind the first question to AWS, so that it is asked at once.
    from scripts.command_line.batches.left_behind import show_interrupted
    from scripts.command_line.batches.whole_stack import look, show, status_document

    if deployment is None:
        show_interrupted(session, stack, Console())
    found = look(session, need_deployment(session, stack), with_boots=timeline)
    if as_json:
        print_document(status_document(found))
    else:
        show(found, Console())
