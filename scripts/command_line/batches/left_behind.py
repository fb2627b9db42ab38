"""What a deleted stack has left in its bucket. Nobody draws there any more: what was not done is interrupted."""

from __future__ import annotations

from contextlib import suppress

import boto3
from rich.console import Console

from scripts.command_line.account.deployment import RETRIES
from scripts.command_line.account.results_bucket import find_bucket
from scripts.command_line.account.runs import Run, list_runs
from scripts.command_line.account.unfinished_runs import with_interruptions
from scripts.command_line.batches.around import with_progress
from scripts.command_line.batches.find import find_run
from scripts.command_line.results.fetch_results import show_runs
from scripts.command_line.terminal.command_error import CommandError


def show_interrupted(session: boto3.Session, stack: str, console: Console) -> None:
    """Shows the runs of a deleted stack that were not done, if there are any and its bucket is known."""
    with suppress(CommandError):
        bucket = find_bucket(session, stack=stack, bucket=None)
        runs = _marked(session, bucket, list_runs(session.client("s3", config=RETRIES), bucket))
        if interrupted := [run for run in runs if run.state == "interrupted"]:
            show_runs(interrupted, console, is_left=True)


def left_run(session: boto3.Session, stack: str, run: str | None) -> Run:
    """The run of a deleted stack of that name, or of that beginning of a name; the newest batch for None.

    Raises `CommandError` where the stack has left no bucket, or more than one, and as `find_run` does.
    """
    bucket = find_bucket(session, stack=stack, bucket=None)
    (marked,) = _marked(session, bucket, [find_run(session, bucket, run)])
    return marked


def _marked(session: boto3.Session, bucket: str, runs: list[Run]) -> list[Run]:
    return with_progress(session, bucket, with_interruptions(session, runs, is_left=True))
