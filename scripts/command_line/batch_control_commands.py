"""`sd pause`, `sd resume`, `sd cancel`, `sd retry`: a batch after it was released."""

from __future__ import annotations

from typing import Annotated

import typer

from scripts.command_line.terminal.common_options import STACK, Profile, Region, Stack
from scripts.command_line.terminal.json_option import Json
from scripts.command_line.terminal.known_runs import complete_runs

BatchName = Annotated[
    str,
    typer.Argument(metavar="RUN", autocompletion=complete_runs, help="The batch, by its name or the beginning of it."),
]
RunName = Annotated[
    str,
    typer.Argument(metavar="RUN", autocompletion=complete_runs, help="The run, by its name or the beginning of it."),
]
Reopens = Annotated[bool, typer.Option("--yes", "-y", help="Open a fleet that has closed itself without a question.")]


def pause(
    run: BatchName, as_json: Json = False, stack: Stack = STACK, region: Region = None, profile: Profile = None
) -> None:
    """Begin no further unit of a batch. What is drawn stays."""
    from scripts.command_line.batches.steer import pause_batch
    from scripts.command_line.terminal.session import open_session

    pause_batch(open_session(region, profile), stack, run, as_json=as_json)


def resume(
    run: BatchName,
    max_usd: Annotated[
        float | None,
        typer.Option("--max-usd", metavar="USD", min=0.01, help="A new limit of what all machines together may cost."),
    ] = None,
    yes: Reopens = False,
    as_json: Json = False,
    stack: Stack = STACK,
    region: Region = None,
    profile: Profile = None,
) -> None:
    """Draw what is missing of a batch that is paused, capped or stuck."""
    from scripts.command_line.batches.steer import resume_batch
    from scripts.command_line.terminal.session import open_session

    resume_batch(open_session(region, profile), stack, run, max_usd=max_usd, yes=yes, as_json=as_json)


def cancel(
    run: BatchName,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: Json = False,
    stack: Stack = STACK,
    region: Region = None,
    profile: Profile = None,
) -> None:
    """End a batch for good. What is drawn stays."""
    from scripts.command_line.batches.steer import cancel_batch
    from scripts.command_line.terminal.session import open_session

    cancel_batch(open_session(region, profile), stack, run, yes=yes, as_json=as_json)


def retry(
    run: RunName,
    yes: Reopens = False,
    as_json: Json = False,
    stack: Stack = STACK,
    region: Region = None,
    profile: Profile = None,
) -> None:
    """Try again what has failed of a run.

    That are the units that were set aside, and what a dead-letter queue holds of the run.
    """
    from scripts.command_line.batches.steer import retry_run
    from scripts.command_line.terminal.session import open_session

    retry_run(open_session(region, profile), stack, run, yes=yes, as_json=as_json)
