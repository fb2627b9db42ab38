"""Starts machines for what is left of a batch, as the ways of the fleet's room say."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING

import boto3
import botocore.exceptions
from rich.console import Console

from scripts.command_line.account.deployment import RETRIES, Deployment
from scripts.command_line.account.plan import make_plan
from scripts.command_line.batches.next_commands import more_usd
from scripts.command_line.batches.progress import Progress
from scripts.command_line.fleet.start import start_machines
from scripts.command_line.fleet.ways import chosen_of, find_ways, print_ways
from scripts.command_line.terminal.command_error import CommandError, aws_errors_in_words
from userdata.batch.unit import MOST_LINE_BYTES, Unit
from userdata.contract.layout import RunKeys
from userdata.fleet.decision import Way
from userdata.job.job import Job

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


def ways_for(
    session: boto3.Session, deployment: Deployment, progress: Progress, units: int, *, max_usd: float | None = None
) -> list[Way]:
    """The ways to draw so many units of a batch. `max_usd` is a new limit for all of it, None for the one it has.

    Raises `CommandError`, also where what is left of the limit does not pay for the boots.
    """
    job = _first_job(session.client("s3", config=RETRIES), deployment.bucket, progress.run_id)
    plan = dataclasses.replace(make_plan(deployment, {}, {}), job=job)
    images = max(1, round(progress.batch.images * units / progress.batch.units))
    ways = find_ways(session, deployment, plan, images)
    left = dollars_left(progress, max_usd)
    chosen = chosen_of(ways)
    boots = (chosen.offer.usd_per_hour or 0) * chosen.offer.boot_seconds / 3600 * chosen.machines
    if left is not None and left <= boots:
        raise CommandError(
            f"{progress.run_id} has ${left:.2f} left of its limit, and the boots alone of {chosen.machines} "
            f"{chosen.offer.instance_type} cost ${boots:.2f}. Raise the limit: `sd resume {progress.run_id} --max-usd "
            f"{more_usd(progress):g}`."
        )
    return ways


def dollars_left(progress: Progress | None, max_usd: float | None) -> float | None:
    """What the machines may cost from now on, None without a limit: a batch that stands has cost something.

    `max_usd` is the limit that a person gives, in US dollars. Raises `CommandError` where nothing is left.
    """
    if progress is None:
        return max_usd
    limit = progress.batch.max_usd if max_usd is None else max_usd
    if limit is not None and limit <= progress.usd_at_most:
        raise CommandError(
            f"{progress.run_id} has cost {progress.usd_in_words} already, and may cost ${limit:.2f}. Nothing was "
            f"queued. Give --max-usd above that, for example {more_usd(progress):g}.",
            exit_status=2,
        )
    return None if limit is None else limit - progress.usd_at_most


def start_for(
    session: boto3.Session, deployment: Deployment, ways: Sequence[Way], console: Console, *, yes: bool
) -> None:
    """Shows what the ways cost, and starts the machines of the best one.

    `yes` opens a fleet that has closed itself without a question. Raises `CommandError`.
    """
    print_ways(ways, console)
    start_machines(session, deployment, chosen_of(ways), console, yes=yes)


def _first_job(s3: S3Client, bucket: str, run_id: str) -> Job:
    """The job of the batch's first unit, by which the time of all is estimated. Raises `CommandError`."""
    key = RunKeys(run_id).units(0)
    with aws_errors_in_words(f"read {key} in {bucket}"):
        try:
            found = s3.get_object(Bucket=bucket, Key=key, Range=f"bytes=0-{MOST_LINE_BYTES}")
        except botocore.exceptions.ClientError as error:
            if error.response["Error"]["Code"] not in ("NoSuchKey", "404", "InvalidRange", "416"):
                raise
            raise CommandError(f"{key} is not in {bucket}, so nothing of {run_id} can be drawn.") from error
        line = found["Body"].read().partition(b"\n")[0]
    try:
        return Unit.from_line(line).requests()[0]
    except ValueError as error:
        raise CommandError(f"{key} in {bucket} cannot be read: {error}") from error
