"""`sd deploy`: its options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from scripts.command_line.deploying.wish import AtMost, EveryType, Types, Yes, read_wish
from scripts.command_line.terminal.common_options import STACK, Profile, Region, Stack
from scripts.command_line.terminal.json_option import Json
from scripts.command_line.terminal.parameter_options import with_parameter_options
from scripts.command_line.terminal.settings_option import Context


@with_parameter_options
def deploy(
    parameters: dict[str, str],
    context: Context = [],  # noqa: B006  # typer reads it and makes its own
    wait: Annotated[bool, typer.Option("--wait", help="Wait for the images and download them.")] = False,
    as_json: Json = False,
    to: Annotated[Path, typer.Option("--to", metavar="FOLDER", help="The folder for downloads.")] = Path("results"),
    types: Types = None,
    every: EveryType = False,
    at_most: AtMost = None,
    yes: Yes = False,
    stack: Stack = STACK,
    region: Region = None,
    profile: Profile = None,
) -> None:
    """Check everything that can be checked, then `cdk deploy`. Parameters that are not given stay as they are."""
    from scripts.command_line.deploying.deploy import deploy as deploy_job
    from scripts.command_line.terminal.session import open_session

    wish = read_wish(types, every, at_most, given=parameters)
    deploy_job(
        open_session(region, profile),
        stack=stack,
        given=parameters,
        context=context,
        fetch_to=to if wait else None,
        console=Console(stderr=True),
        wish=wish,
        yes=yes,
        as_json=as_json,
    )
