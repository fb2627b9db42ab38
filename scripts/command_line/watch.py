"""Watches one run until it is done, and shows how far it is."""

from __future__ import annotations

import time
from datetime import datetime
from typing import TYPE_CHECKING

import boto3
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from scripts.command_line.command_error import CommandError
from scripts.command_line.deployment import RETRIES, Deployment
from scripts.command_line.instance import instance_state
from scripts.command_line.runs import read_status
from userdata.worker.status import Status

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

DOING = {
    "boot": "The instance boots",
    "driver": "The GPU driver is checked",
    "environment": "The environment is made ready",
    "weights": "The model weights are fetched",
    "model": "The model is loaded",
    "generating": "Images are generated",
    "uploading": "The last images are uploaded",
    "done": "Done",
    "failed": "Failed",
}


def watch_run(
    session: boto3.Session, deployment: Deployment, run_id: str, console: Console, *, every_seconds: float, hours: float
) -> Status:
    """Waits until the run is done, looking every so many seconds, and returns its last status.

    Raises `CommandError` when the run fails, when the instance is no longer running, or after `hours`. A failure that
    was told before the instance was last started is an earlier attempt's.
    """
    s3: S3Client = session.client("s3", config=RETRIES)
    deadline = time.monotonic() + hours * 3600
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(DOING["boot"], total=None)
        while time.monotonic() < deadline:
            # The state is read before the status: an instance stops only after its last status is written.
            state = instance_state(session, deployment)
            status = read_status(s3, deployment.bucket, run_id)
            if status:
                progress.update(
                    task,
                    description=DOING[status.phase],
                    completed=status.images_done,
                    total=status.images_total or None,
                )
                if state.launched_at is None or datetime.fromisoformat(status.updated_at) >= state.launched_at:
                    _raise_failure(status)
                if status.phase == "done":
                    return status
            if state.name not in ("pending", "running"):
                raise CommandError(
                    f"The instance {deployment.instance_id} is {state.name}, but run {run_id} is not done. "
                    "Start it again: `sd start`; it goes on where it was."
                )
            time.sleep(every_seconds)
    raise CommandError(f"Run {run_id} was not done after {hours:g} hours; see `sd status`.")


def _raise_failure(status: Status) -> None:
    if status.phase == "failed":
        error = status.error
        raise CommandError(
            f"Run {status.run_id} failed at {error.step}: {error.message}\n\nThe log ends with:\n{error.log_tail}"
            if error
            else f"Run {status.run_id} failed; its log is in the bucket."
        )
