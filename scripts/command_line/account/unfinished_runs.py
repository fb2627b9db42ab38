"""Runs that are not done: whether a machine works on them. EC2 knows, because one that is gone writes nothing."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import boto3

from scripts.command_line.account.deployment import RETRIES, Deployment
from scripts.command_line.account.instance import InstanceState, instance_state, known_run_id
from scripts.command_line.account.runs import Run, list_runs, read_status
from userdata.contract.outside import read_utc
from userdata.contract.status import ENDED_EARLY, Status
from userdata.worker.bucket.passing_errors import AWS_ERRORS

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client

WORKS = ("pending", "running")
ENDED = ("done", *ENDED_EARLY)
# "After an instance is terminated, it remains visible for a short while (usually less than one hour)."
# Source: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/terminating-instances.html
FORGOTTEN_AFTER = timedelta(hours=1)
MOST_AT_ONCE = 200  # values of a filter of EC2


def latest_status(status: Status | None, state: InstanceState) -> Status | None:
    """`status`, but for an end from before the latest start of the instance: that belongs to an earlier attempt."""
    if status and status.phase in ENDED_EARLY and state.launched_at and _time(status) < state.launched_at:
        return None
    return status


def run_in_progress(session: boto3.Session, deployment: Deployment) -> Run | None:
    """The run that the deployment's instance works on, or boots for; None where nothing is cut off by ending it.

    Raises `CommandError`.
    """
    state = instance_state(session, deployment)
    if state.name not in WORKS:
        return None
    s3 = session.client("s3", config=RETRIES)
    run_id = known_run_id(deployment)
    status = latest_status(read_status(s3, deployment.bucket, run_id), state) if run_id else None
    if run_id and not (status and status.phase in ENDED):
        return Run(run_id, status)
    # One that came by the queue; or the deployed one, where its parameters cannot be told.
    runs = [run for run in list_runs(s3, deployment.bucket) if _works_on(deployment.instance_id, state, run.status)]
    return runs[-1] if runs else None


def _works_on(instance_id: str, state: InstanceState, status: Status | None) -> bool:
    if status is None or status.instance_id != instance_id or status.phase in ENDED:
        return False
    return state.launched_at is None or _time(status) >= state.launched_at


def deployed_run_left_off(session: boto3.Session, deployment: Deployment) -> Run | None:
    """The deployed run where it has neither ended nor begun anew, whatever its instance does. Raises `CommandError`."""
    run_id = known_run_id(deployment)
    status = read_status(session.client("s3", config=RETRIES), deployment.bucket, run_id) if run_id else None
    return Run(run_id, status) if run_id and not (status and status.phase in ENDED) else None


def with_interruptions(
    session: boto3.Session, runs: list[Run], *, deployed: str = "", is_left: bool = False
) -> list[Run]:
    """The runs, with a mark on those that no machine works on though they are not done.

    The run `deployed` is taken up again by an instance that was started since. Where the bucket `is_left` of a stack
    that is gone, so are its queues and its machines: nobody draws what waits. Without the right to look at instances
    nothing is marked otherwise.
    """
    if is_left:
        return [_interrupted(run) if _is_unfinished(run) else run for run in runs]
    unfinished = [run for run in runs if run.status and _is_unfinished(run)]
    try:
        states = states_of(session, sorted({run.status.instance_id for run in unfinished if run.status}))
    except AWS_ERRORS:
        return runs
    return [
        _interrupted(run) if run in unfinished and _is_interrupted(run, states, deployed=deployed) else run
        for run in runs
    ]


def _is_unfinished(run: Run) -> bool:
    """Whether it has not ended; of a batch, its own documents tell."""
    return run.status.phase not in ENDED if run.status else run.waits or run.batch is not None


def _interrupted(run: Run) -> Run:
    return dataclasses.replace(run, is_interrupted=True)


def _is_interrupted(run: Run, states: Mapping[str, InstanceState], *, deployed: str) -> bool:
    assert run.status
    state = states.get(run.status.instance_id)
    if state is None:  # it may also be in another region, and at work
        return _time(run.status) < datetime.now(UTC) - FORGOTTEN_AFTER
    if state.name in WORKS:
        return run.run_id != deployed and not _works_on(run.status.instance_id, state, run.status)
    return True


def states_of(session: boto3.Session, instance_ids: list[str]) -> dict[str, InstanceState]:
    """The states of the instances that EC2 knows, one request for 200. Raises botocore's errors."""
    client: EC2Client = session.client("ec2", config=RETRIES)
    found = {}
    for first in range(0, len(instance_ids), MOST_AT_ONCE):
        wanted = {"Name": "instance-id", "Values": instance_ids[first : first + MOST_AT_ONCE]}
        for page in client.get_paginator("describe_instances").paginate(Filters=[wanted]):  # type: ignore[list-item]
            for instance in (one for reservation in page["Reservations"] for one in reservation["Instances"]):
                found[instance["InstanceId"]] = InstanceState(instance["State"]["Name"], instance["LaunchTime"])
    return found


def _time(status: Status) -> datetime:
    """When the status was written; now for a time that nobody can read, which must not count as old."""
    try:
        return read_utc(status.updated_at)
    except ValueError:
        return datetime.now(UTC)
