"""Finds the run that a person names, and looks at it."""

from __future__ import annotations

import boto3

from scripts.command_line.account.deployment import RETRIES, Deployment
from scripts.command_line.account.runs import Run, choose_run, list_batches
from scripts.command_line.batches.around import look_around, looker_of
from scripts.command_line.batches.progress import Progress
from scripts.command_line.terminal.command_error import CommandError


def find_run(session: boto3.Session, bucket: str, run: str | None) -> Run:
    """The run of that name, or of that beginning of a name; the newest batch for None. Raises `CommandError`."""
    s3 = session.client("s3", config=RETRIES)
    if run is not None:
        return choose_run(s3, bucket, run)
    batches = list_batches(s3, bucket)
    if not batches:
        raise CommandError("There is no batch yet. `sd results --list` shows the runs; name one: `sd watch RUN`.")
    return batches[-1]


def look_at(session: boto3.Session, deployment: Deployment, run: Run | Progress) -> Progress:
    """How far a batch is, with what its queue and its fleet say. Raises `CommandError`."""
    return look_around(session, deployment, looker_of(session, deployment.bucket, run.run_id).look())
