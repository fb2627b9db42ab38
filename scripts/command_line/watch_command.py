"""`sd watch`: its options, and whether a batch or one job is followed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from scripts.command_line.terminal.common_options import STACK, Profile, Region, Stack
from scripts.command_line.terminal.json_option import Json, print_document
from scripts.command_line.terminal.known_runs import complete_runs
from scripts.interruption.signals import when_interrupted

if TYPE_CHECKING:
    import boto3

    from scripts.command_line.account.deployment import Deployment
    from scripts.command_line.account.runs import Run

POLL_SECONDS = 5.0


def watch(
    run: Annotated[
        str | None,
        typer.Argument(
            metavar="RUN",
            autocompletion=complete_runs,
            help="The run, by its name or the beginning of it; default: the newest batch.",
        ),
    ] = None,
    as_json: Json = False,
    stack: Stack = STACK,
    region: Region = None,
    profile: Profile = None,
) -> None:
    """Show how far a batch is until it is done. It goes on when you close this. --json shows how far it is now.

    The exit status is 1 where units have failed, and where nothing goes on without you.
    """
    from scripts.command_line.account.deployment import find_deployment
    from scripts.command_line.batches.find import find_run, look_at
    from scripts.command_line.batches.left_behind import left_run
    from scripts.command_line.batches.next_commands import print_next
    from scripts.command_line.batches.show import batch_document, document_of
    from scripts.command_line.batches.watch import watch_batch
    from scripts.command_line.terminal.session import open_session

    session = open_session(region, profile)
    deployment = find_deployment(session, stack)
    if deployment is None:
        _tell_left(left_run(session, stack, run), as_json=as_json)
        return
    found = find_run(session, deployment.bucket, run)
    if as_json:
        print_document(batch_document(look_at(session, deployment, found)) if found.batch else document_of(found))
        return
    console = Console()
    if not found.batch:
        _watch_whole(session, deployment, found.run_id, console)
        return
    last = watch_batch(session, deployment, found.run_id, console)
    print_next(last, console)
    if last.state != "done" or last.counts.failed:
        raise typer.Exit(1)


def _tell_left(run: Run, *, as_json: bool) -> None:
    """Tells of a run whose stack was deleted: there is nothing to follow."""
    from scripts.command_line.batches.show import document_of
    from scripts.command_line.results.fetch_results import show_runs

    if as_json:
        print_document(document_of(run))
        return
    show_runs([run], Console(), is_left=True)
    if run.state != "done":
        raise typer.Exit(1)


def _watch_whole(session: boto3.Session, deployment: Deployment, run_id: str, console: Console) -> None:
    """Follows a run with a job of its own."""
    from scripts.command_line.account.goes_on import run_goes_on
    from scripts.command_line.account.instance import known_run_id
    from scripts.command_line.account.runs import Run
    from scripts.command_line.results.fetch_results import show_runs
    from scripts.command_line.results.watch import watch_run

    with when_interrupted(lambda: run_goes_on(session, deployment, run_id)):
        status = watch_run(
            session,
            deployment,
            run_id,
            Console(stderr=True),
            every_seconds=POLL_SECONDS,
            hours=float(deployment.parameters["MaxHours"]),
            queued=run_id != known_run_id(deployment),
            waits="Waits for the worker",
        )
    show_runs([Run(run_id, status)], console)
    if status.phase != "done":
        raise typer.Exit(1)
