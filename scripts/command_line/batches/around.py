"""What lies around a batch and decides whether it goes on: its queue, its fleet, EC2's view of its machines."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING

import boto3
import botocore.exceptions

from scripts.command_line.account.deployment import RETRIES, Deployment
from scripts.command_line.account.objects import TooLargeError, read
from scripts.command_line.account.runs import Run
from scripts.command_line.account.unfinished_runs import states_of
from scripts.command_line.account.waiting import messages_in
from scripts.command_line.batches.look import Looker, States
from scripts.command_line.batches.progress import BatchRun, Progress
from scripts.command_line.fleet.activities import trouble
from scripts.command_line.terminal.command_error import CommandError
from userdata.batch.documents import MOST_BYTES

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

CLOSED = "fleet/closed.json"
QUEUE = "BatchQueue"


def looker_of(session: boto3.Session, bucket: str, run_id: str) -> Looker:
    """Looks at a batch, and asks EC2 for its machines, where the person has the right to."""
    return Looker(session.client("s3", config=RETRIES), bucket, run_id, states=_states(session))


def _states(session: boto3.Session) -> States:
    def ask(instance_ids: list[str]) -> dict[str, str]:
        try:
            return {name: state.name for name, state in states_of(session, instance_ids).items()}
        except (botocore.exceptions.ClientError, botocore.exceptions.BotoCoreError):
            return {}

    return ask


def look_around(session: boto3.Session, deployment: Deployment, progress: Progress) -> Progress:
    """`progress`, with what the queue and the fleet say. Raises `CommandError` when the queue cannot be asked."""
    if progress.state not in ("waits", "works", "stuck"):
        return progress
    queue = deployment.outputs.get(QUEUE)
    queued = messages_in(session, queue) if queue else None
    closed = closed_because(session.client("s3", config=RETRIES), deployment.bucket)
    told = closed or trouble(session, deployment)
    return dataclasses.replace(progress, queued=queued, trouble=told, is_closed=closed is not None)


def closed_because(s3: S3Client, bucket: str) -> str | None:
    """Why the fleet has closed itself, in a sentence; None while it is open."""
    try:
        body = read(s3, bucket, CLOSED, at_most=MOST_BYTES)
    except TooLargeError:
        return "The fleet has closed itself, and its reason cannot be read."
    if body is None:
        return None
    try:
        told = json.loads(body)
        reason = str(told["reason"])
    except (KeyError, TypeError, ValueError, RecursionError):
        reason = ""
    return f"The fleet has closed itself: {reason or 'its reason cannot be read'}".rstrip(". ") + "."


def with_progress(session: boto3.Session, bucket: str, runs: list[Run]) -> list[Run]:
    """The runs, with how far each batch among them is, as far as the bucket and EC2 tell. Raises `CommandError`."""
    return [_with_progress(session, bucket, run) if run.batch else run for run in runs]


def _with_progress(session: boto3.Session, bucket: str, run: Run) -> Run:
    try:
        return BatchRun.of(run, looker_of(session, bucket, run.run_id).look())
    except CommandError as error:
        if error.__cause__:
            raise
        return run
