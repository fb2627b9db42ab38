"""`sd watch`, `sd pause`, `sd resume`, `sd cancel`, `sd retry`: a batch after it was released."""

from __future__ import annotations

from typing import Annotated

import boto3
import typer
from rich.console import Console

from scripts.command_line.account.deployment import RETRIES, Deployment, need_deployment
from scripts.command_line.account.goes_on import run_goes_on
from scripts.command_line.account.identity import find_caller, tell_identity
from scripts.command_line.account.instance import known_run_id, start_stopped
from scripts.command_line.account.runs import Run, choose_run, list_runs
from scripts.command_line.batches.around import look_around, looker_of
from scripts.command_line.batches.control import need_can_change, raise_limit, release, set_state
from scripts.command_line.batches.next_commands import more_usd, print_next
from scripts.command_line.batches.progress import Progress
from scripts.command_line.batches.retry import Retried, retry_units, retry_whole
from scripts.command_line.batches.show import as_json, why
from scripts.command_line.batches.watch import watch_batch
from scripts.command_line.results.fetch_results import run_as_json, show_runs
from scripts.command_line.results.watch import watch_run
from scripts.command_line.terminal.command_error import CommandError
from scripts.command_line.terminal.common_options import STACK, Profile, Region, Stack, open_session
from scripts.command_line.terminal.plain_text import print_plain
from scripts.command_line.terminal.question import ask
from scripts.interruption.signals import when_interrupted

RUN = typer.Argument(metavar="RUN", help="The batch, by its name or the beginning of it.")
Batch = Annotated[str, RUN]
POLL_SECONDS = 5.0


def watch(
    run: Annotated[
        str | None,
        typer.Argument(metavar="RUN", help="The run, by its name or the beginning of it; default: the newest batch."),
    ] = None,
    json_only: Annotated[bool, typer.Option("--json", help="Print how far it is now as JSON, for tools.")] = False,
    stack: Stack = STACK,
    region: Region = None,
    profile: Profile = None,
) -> None:
    """Show how far a batch is until it is done: `sd watch cats-0123456789`. It goes on when you close this.

    The exit status is 1 where units have failed, and where nothing goes on without you.
    """
    session = open_session(region, profile)
    deployment = need_deployment(session, stack)
    found = _find(session, deployment, run)
    if json_only:
        typer.echo(as_json(_look(session, deployment, found)) if found.batch else run_as_json(found))
        return
    console = Console()
    if not found.batch:
        _watch_whole(session, deployment, found.run_id, console)
        return
    last = watch_batch(session, deployment, found.run_id, console)
    if said := why(last):
        print_plain(said, console, soft_wrap=True)
    print_next(last, console)
    if last.state != "done" or last.counts.failed:
        raise typer.Exit(1)


def pause(run: Batch, stack: Stack = STACK, region: Region = None, profile: Profile = None) -> None:
    """Begin no further unit of a batch: `sd pause cats-0123456789`. What is drawn stays."""
    session, deployment, progress = _open(run, stack, region, profile, verb="pause")
    if progress.state == "capped":
        raise CommandError(_how_to_raise(progress))
    _set(session, deployment, progress, "paused", over=("go",))
    typer.echo(
        f"Paused {progress.run_id}: machines end the unit that they draw, about a minute's work, and begin no more. "
        f"{_what_it_saves(progress, deployment)}"
    )
    print_next(_look(session, deployment, progress), Console())


def resume(
    run: Batch,
    max_usd: Annotated[
        float | None,
        typer.Option(metavar="USD", min=0.01, help="A new limit of what all machines together may cost."),
    ] = None,
    stack: Stack = STACK,
    region: Region = None,
    profile: Profile = None,
) -> None:
    """Go on with a batch that is paused, capped or stuck: `sd resume cats-0123456789`. Only what is missing is drawn."""
    session, deployment, progress = _open(run, stack, region, profile, verb="resume")
    if max_usd is not None and max_usd <= progress.usd:
        raise CommandError(f"{progress.run_id} has cost ${progress.usd:.2f} already: --max-usd must be more than that.")
    if max_usd is None and progress.state == "capped":
        raise CommandError(_how_to_raise(progress))
    if max_usd is not None:
        raise_limit(session.client("s3", config=RETRIES), deployment.bucket, progress.run_id, max_usd)
    _set(session, deployment, progress, "go", over=("go", "paused", "capped"))
    release(session, deployment, progress.run_id)
    left = progress.batch.units - progress.counts.done
    typer.echo(f"{progress.run_id} goes on with the {left:,} units that are missing.")
    _start(session, deployment, progress.run_id)
    print_next(_look(session, deployment, progress), Console())


def cancel(
    run: Batch,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    stack: Stack = STACK,
    region: Region = None,
    profile: Profile = None,
) -> None:
    """End a batch for good: `sd cancel cats-0123456789`. What is drawn stays."""
    session, deployment, progress = _open(run, stack, region, profile, verb="cancel")
    left = progress.batch.images - progress.images_done
    question = f"Cancel {progress.run_id}, whose other {left:,} images are then never drawn?"
    if not yes and not ask(question, otherwise="Nothing was cancelled"):
        typer.echo("Nothing was cancelled.")
        return
    _set(session, deployment, progress, "cancelled", over=("go", "paused", "capped"))
    typer.echo(
        f"Cancelled {progress.run_id}: {progress.images_done:,} images are drawn and stay. "
        f"{_what_it_saves(progress, deployment)}"
    )
    print_next(_look(session, deployment, progress), Console())


def retry(run: Batch, stack: Stack = STACK, region: Region = None, profile: Profile = None) -> None:
    """Try again what has failed of a run: `sd retry cats-0123456789`.

    That are the units that were set aside, and what a dead-letter queue holds of the run.
    """
    session = open_session(region, profile)
    tell_identity(session, stack)
    deployment = need_deployment(session, stack)
    found = _find(session, deployment, run)
    if not found.batch:
        _tell_retried(found.run_id, retry_whole(session, deployment, found.run_id), "run")
        return
    progress = _look(session, deployment, found)
    if progress.state in ("cancelled", "paused", "capped"):
        step = "what is drawn: `sd results " if progress.state == "cancelled" else "go on with all of it: `sd resume "
        raise CommandError(f"{found.run_id} is {progress.state}, so nothing is tried again; {step}{found.run_id}`.")
    retried = retry_units(session, deployment, found.run_id, found.batch)
    _tell_retried(found.run_id, retried, "unit")
    if retried.sent:
        _start(session, deployment, found.run_id)
    print_next(_look(session, deployment, found), Console())


def _open(
    run: str, stack: str, region: str | None, profile: str | None, *, verb: str
) -> tuple[boto3.Session, Deployment, Progress]:
    """The batch that a person wants to change. Raises `CommandError` for one that cannot be changed any more."""
    session = open_session(region, profile)
    tell_identity(session, stack)
    deployment = need_deployment(session, stack)
    found = _find(session, deployment, run)
    if not found.batch:
        raise CommandError(
            f"{found.run_id} is one job and no batch, so that it can only be stopped as a whole: `sd stop`."
        )
    progress = _look(session, deployment, found)
    need_can_change(progress, verb)
    return session, deployment, progress


def _find(session: boto3.Session, deployment: Deployment, run: str | None) -> Run:
    s3 = session.client("s3", config=RETRIES)
    if run is not None:
        return choose_run(s3, deployment.bucket, run)
    batches = [one for one in list_runs(s3, deployment.bucket) if one.batch]
    if not batches:
        raise CommandError("There is no batch yet. `sd results --list` shows the runs; name one: `sd watch RUN`.")
    return batches[-1]


def _look(session: boto3.Session, deployment: Deployment, run: Run | Progress) -> Progress:
    return look_around(session, deployment, looker_of(session, deployment.bucket, run.run_id).look())
