"""What changes a batch after it was released: a pause, going on, the end, another try."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import boto3
from rich.console import Console

from scripts.command_line.account.deployment import RETRIES, Deployment, need_deployment
from scripts.command_line.account.identity import find_caller, tell_identity
from scripts.command_line.account.instance import start_stopped
from scripts.command_line.batches.control import (
    State,
    need_batch_queue,
    need_can_change,
    raise_limit,
    release,
    set_state,
)
from scripts.command_line.batches.find import find_run, look_at
from scripts.command_line.batches.next_commands import how_to_raise, print_next, what_it_saves
from scripts.command_line.batches.progress import Progress
from scripts.command_line.batches.retry import Retried, retry_units, retry_whole
from scripts.command_line.batches.show import batch_document, document_of
from scripts.command_line.batches.start import start_for, ways_for
from scripts.command_line.fleet.at import cancel_release
from scripts.command_line.fleet.group import read_group
from scripts.command_line.fleet.stop import machines_in_words
from scripts.command_line.terminal.command_error import CommandError
from scripts.command_line.terminal.json_option import print_document
from scripts.command_line.terminal.plain_text import say
from scripts.command_line.terminal.question import ask
from scripts.interruption.signals import when_interrupted
from userdata.contract.layout import RunKeys


def pause_batch(session: boto3.Session, stack: str, run: str, *, as_json: bool) -> None:
    """Begin no further unit of a batch. What is drawn stays."""
    deployment, progress = _open(session, stack, run, verb="pause")
    if progress.state == "capped":
        raise CommandError(how_to_raise(progress))
    with _changing(progress.run_id):
        _set(session, deployment, progress, "paused", over=("go",))
        # Machines that work would go on with a `sd resume` that releases nothing, also not what is planned.
        was_planned = not progress.live and cancel_release(session, deployment, progress.run_id)
    if was_planned:
        say(f"{progress.run_id} was planned for later: that is taken back, and it begins with `sd resume`.")
    say(
        f"Paused {progress.run_id}: machines end the unit that they draw, about a minute's work, and begin no more. "
        f"{what_it_saves(progress, deployment)}"
    )
    _tell_of_missing(session, deployment)
    _tell(look_at(session, deployment, progress), as_json=as_json)


def resume_batch(
    session: boto3.Session, stack: str, run: str, *, max_usd: float | None, yes: bool, as_json: bool
) -> None:
    """Draw what is missing of a batch that is paused, capped or stuck."""
    deployment, progress = _open(session, stack, run, verb="resume")
    if max_usd is not None and not progress.usd_at_most < max_usd < math.inf:
        raise CommandError(
            f"{progress.run_id} has cost {progress.usd_in_words} already: --max-usd must be a sum above that."
        )
    if max_usd is None and progress.state == "capped":
        raise CommandError(how_to_raise(progress))
    left = max(0, progress.batch.units - progress.counts.done - progress.counts.failed)
    # What cannot be drawn on any machine is refused before anything is changed.
    works = progress.state == "works"
    ways = [] if works else ways_for(session, deployment, progress, left, max_usd=max_usd)
    with _changing(progress.run_id):
        if max_usd is not None:
            raise_limit(session.client("s3", config=RETRIES), deployment.bucket, progress.run_id, max_usd)
        _set(session, deployment, progress, "go", over=("go", "paused", "capped"))
        if works:
            say(f"{progress.run_id} is at work already, so no message was sent and no machine started.")
        else:
            cancel_release(session, deployment, progress.run_id)  # it would start machines for what is drawn by then
            release(session, deployment, progress.run_id)
            missing = "1 unit that is" if left == 1 else f"{left:,} units that are"
            say(f"{progress.run_id} goes on with the {missing} missing.")
            start_for(session, deployment, ways, Console(), yes=yes)
    _tell(look_at(session, deployment, progress), as_json=as_json)


def cancel_batch(session: boto3.Session, stack: str, run: str, *, yes: bool, as_json: bool) -> None:
    """End a batch for good. What is drawn stays."""
    deployment, progress = _open(session, stack, run, verb="cancel")
    left = progress.batch.images - progress.images_done
    question = f"Cancel {progress.run_id}, whose other {left:,} images are then never drawn?"
    if not yes and not ask(question, otherwise="Nothing was cancelled"):
        say("Nothing was cancelled.")
        return
    with _changing(progress.run_id):
        _set(session, deployment, progress, "cancelled", over=("go", "paused", "capped"))
        cancel_release(session, deployment, progress.run_id)
    say(
        f"Cancelled {progress.run_id}: {progress.images_done:,} images are drawn and stay. "
        f"{what_it_saves(progress, deployment)}"
    )
    _tell_of_missing(session, deployment)
    _tell(look_at(session, deployment, progress), as_json=as_json)


def retry_run(session: boto3.Session, stack: str, run: str, *, yes: bool, as_json: bool) -> None:
    """Try again what has failed of a run.

    That are the units that were set aside, and what a dead-letter queue holds of the run.
    """
    tell_identity(session, stack)
    deployment = need_deployment(session, stack)
    found = find_run(session, deployment.bucket, run)
    if not found.batch:
        with _changing(found.run_id):
            retried = retry_whole(session, deployment, found.run_id)
            _tell_retried(found.run_id, retried, "message")
            if retried.sent:
                say(start_stopped(session, deployment, f"run {found.run_id}").message)
        if as_json:
            print_document(document_of(found))
        return
    progress = look_at(session, deployment, found)
    if progress.state in ("cancelled", "paused", "capped"):
        cancelled = progress.state == "cancelled"
        step = f"`sd results {found.run_id}` fetches it" if cancelled else f"`sd resume {found.run_id}` draws all of it"
        raise CommandError(f"{found.run_id} is {progress.state}, so nothing is tried again: {step}.")
    with _changing(found.run_id):
        # A batch may have been paused or capped while its last units were drawn: then it is done all the same.
        _set(session, deployment, progress, "go", over=("go", "paused", "capped"))
        retried = retry_units(session, deployment, found.run_id, found.batch)
        _tell_retried(found.run_id, retried, "unit")
        if retried.sent:
            # At its limit it is capped again, which leads to `sd resume`: that raises no limit of a batch that is done.
            ways = ways_for(session, deployment, progress, retried.sent, max_usd=math.inf)
            start_for(session, deployment, ways, Console(), yes=yes)
    _tell(look_at(session, deployment, found), as_json=as_json)


def _open(session: boto3.Session, stack: str, run: str, *, verb: str) -> tuple[Deployment, Progress]:
    """The batch that a person wants to change. Raises `CommandError` for one that cannot be changed any more."""
    tell_identity(session, stack)
    deployment = need_deployment(session, stack)
    found = find_run(session, deployment.bucket, run)
    if not found.batch:
        raise CommandError(
            f"{found.run_id} is one job and no batch, so that it can only be stopped as a whole: `sd stop`."
        )
    need_batch_queue(deployment)
    progress = look_at(session, deployment, found)
    need_can_change(progress, verb)
    return deployment, progress


def _tell(progress: Progress, *, as_json: bool) -> None:
    print_next(progress, Console())
    if as_json:
        print_document(batch_document(progress))


def _tell_of_missing(session: boto3.Session, deployment: Deployment) -> None:
    """Says that machines may come yet. Rejected: to want fewer here, because another batch may have asked for them."""
    with suppress(CommandError):  # who may not ask the group has changed the batch all the same
        group = read_group(session, deployment)
        if group and group.missing:
            say(
                f"The fleet still waits for {machines_in_words(group.missing)}, which would boot for nothing where no "
                "other batch needs them: `sd stop` lets none start."
            )


@contextmanager
def _changing(run_id: str) -> Iterator[None]:
    told = f"Interrupted half-way: `sd watch {run_id}` shows what was done, and the same command does the rest."
    with when_interrupted(lambda: told):
        yield


def _set(
    session: boto3.Session, deployment: Deployment, progress: Progress, state: State, *, over: tuple[State, ...]
) -> None:
    """Writes the state. Raises `CommandError` where somebody else has ended or capped the batch meanwhile."""
    s3, by = session.client("s3", config=RETRIES), find_caller(session)
    now = set_state(s3, deployment.bucket, progress.run_id, state, by=by, over=over)
    if now != state:
        raise CommandError(
            f"{progress.run_id} is {now} meanwhile, so it stays so. `sd watch {progress.run_id}` shows it."
        )


def _tell_retried(run_id: str, retried: Retried, what: str) -> None:
    if retried.unreadable:
        say(
            f"{retried.unreadable} documents in {RunKeys(run_id).units_failed} cannot be read, so what they are about "
            f"is not sent: `sd resume {run_id}` draws all that is missing.",
            err=True,
        )
    if retried.sent:
        say(f"Sent {retried.sent:,} {what}{'' if retried.sent == 1 else 's'} of {run_id} again.")
    else:
        say(f"Nothing of {run_id} was set aside, so nothing was sent. SQS may tell of it a minute late.")
