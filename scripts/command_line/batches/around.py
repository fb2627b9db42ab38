"""What lies around a batch and decides whether it goes on: its queue, its fleet, EC2's view of its machines."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TypeVar

import boto3

from scripts.command_line.account.deployment import RETRIES, Deployment, find_deployment, is_deleted
from scripts.command_line.account.instance import instance_state
from scripts.command_line.account.runs import Run
from scripts.command_line.account.unfinished_runs import WORKS, states_of
from scripts.command_line.account.waiting import messages_in
from scripts.command_line.batches.look import Looker, States
from scripts.command_line.batches.progress import BatchRun, Progress
from scripts.command_line.fleet.activities import trouble
from scripts.command_line.fleet.at import planned_for
from scripts.command_line.fleet.closed import closed_because
from scripts.command_line.fleet.group import read_group
from scripts.command_line.terminal.command_error import CommandError
from userdata.worker.bucket.passing_errors import AWS_ERRORS, is_transient

Answer = TypeVar("Answer")
QUEUE = "BatchQueue"


def looker_of(session: boto3.Session, bucket: str, run_id: str) -> Looker:
    """Looks at a batch, and asks EC2 for its machines, where the person has the right to."""
    return Looker(session.client("s3", config=RETRIES), bucket, run_id, states=_states(session))


def _states(session: boto3.Session) -> States:
    def ask(instance_ids: list[str]) -> dict[str, str]:
        try:
            return {name: state.name for name, state in states_of(session, instance_ids).items()}
        except AWS_ERRORS:
            return {}

    return ask


def look_around(session: boto3.Session, deployment: Deployment, progress: Progress) -> Progress:
    """`progress`, with what the queue, the fleet and the schedules say, as far as this person may ask them.

    Raises `CommandError` when AWS is out of reach.
    """
    if progress.state not in ("waits", "works"):
        return progress
    queue = deployment.outputs.get(QUEUE)
    closed = closed_because(session.client("s3", config=RETRIES), deployment.bucket)
    found = dataclasses.replace(
        progress,
        queued=_asked(lambda: messages_in(session, queue)) if queue else None,
        trouble=closed or _asked(lambda: trouble(session, deployment)),
        is_closed=closed is not None and not _asked(lambda: instance_state(session, deployment).name in WORKS),
    )
    if found.state != "works" and _asked(lambda: is_deleted(find_deployment(session, deployment.stack))):
        return dataclasses.replace(found, is_left=True)
    if queue and (found.state == "stuck" or not found.machines):
        begins_at = _asked(lambda: planned_for(session, deployment, progress.run_id))
        if begins_at:  # the schedule opens a fleet that has closed itself
            return dataclasses.replace(found, begins_at=begins_at, trouble=None, is_closed=False)
    if found.state == "waits":
        return dataclasses.replace(found, nobody_comes=bool(_asked(lambda: _nobody_comes(session, deployment))))
    return found


def _nobody_comes(session: boto3.Session, deployment: Deployment) -> bool:
    """Whether no machine runs or is wanted, and no alarm can want one: a message alone starts no instance."""
    if instance_state(session, deployment).name in WORKS:
        return False
    group = read_group(session, deployment)
    return group is None or not (group.desired or group.most)


def _asked(ask: Callable[[], Answer | None]) -> Answer | None:
    """The answer, None where this person has no right to it. Raises `CommandError` for what may pass."""
    try:
        return ask()
    except CommandError as error:
        if is_transient(error.__cause__):
            raise
        return None


def with_progress(session: boto3.Session, bucket: str, runs: list[Run]) -> list[Run]:
    """The runs, with how far each batch among them is, as far as the bucket and EC2 tell. Raises `CommandError`."""
    return [_with_progress(session, bucket, run) if run.batch else run for run in runs]


def _with_progress(session: boto3.Session, bucket: str, run: Run) -> Run:
    try:
        progress = looker_of(session, bucket, run.run_id).look()
        return BatchRun.of(run, dataclasses.replace(progress, is_left=run.is_interrupted))
    except CommandError as error:
        if error.__cause__:
            raise
        return run
