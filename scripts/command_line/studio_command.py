"""`sd studio`: becomes the studio's process."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from scripts.command_line.terminal.command_error import CommandError
from scripts.command_line.terminal.common_options import STACK, Profile, Region, Stack


def studio(
    local: Annotated[
        bool,
        typer.Option("--local", help="Play on this computer, without an account: the local cloud and the demo model."),
    ] = False,
    port: Annotated[int | None, typer.Option(metavar="PORT", help="The port; default: 8765, or one that is free.")] = (
        None
    ),
    no_open: Annotated[bool, typer.Option("--no-open", help="Print the link, and open no browser.")] = False,
    stack: Stack = STACK,
    region: Region = None,
    profile: Profile = None,
) -> None:
    """Open a page on this computer that sends prompts to the instance that stands, and shows images as they arrive.

    It never deploys. Ctrl-C ends it, and nothing is lost.
    """
    given = {"--port": port, "--stack": stack, "--region": region, "--profile": profile}
    if local:
        if stack != STACK or region or profile:
            raise CommandError(
                "--local has an account, a region and a stack of its own: leave out --stack, --region and --profile.",
                exit_status=2,
            )
        given = {"--port": port}
    words = [f"{name}={value}" for name, value in given.items() if value is not None]
    words += [*(["--no-open"] if no_open else []), *(["--local"] if local else [])]
    # Another program: no other command should start slower for the libraries of a server, and the command line does
    # not know the local cloud.
    page = [sys.executable, "-P", str(Path(__file__).parents[1] / "studio/__main__.py"), *words]
    os.execv(sys.executable, page)  # noqa: S606
