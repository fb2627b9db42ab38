"""Starts machines for what is left of a batch, as the ways of the fleet's room say."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import boto3
import botocore.exceptions
from rich.console import Console

from scripts.command_line.account.deployment import RETRIES, Deployment
from scripts.command_line.account.plan import make_plan
from scripts.command_line.fleet.start import start_machines
from scripts.command_line.fleet.ways import find_ways, print_ways
from scripts.command_line.terminal.command_error import CommandError, aws_errors_in_words
from userdata.batch.unit import MOST_LINE_BYTES, Unit
from userdata.contract.layout import RunKeys
from userdata.job.job import Job

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


def start_for(
    session: boto3.Session, deployment: Deployment, run_id: str, images: int, console: Console, *, yes: bool
) -> None:
    """Shows what drawing so many images costs, and starts the machines of the best way.

    `yes` opens a fleet that has closed itself without a question. Raises `CommandError`.
    """
    job = _first_job(session.client("s3", config=RETRIES), deployment.bucket, run_id)
    plan = dataclasses.replace(make_plan(deployment, {}, {}), job=job)
    ways = find_ways(session, deployment, plan, images)
    print_ways(ways, console)
    start_machines(session, deployment, next(way for way in ways if way.chosen), console, yes=yes)


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
