"""Watches one run until the run is done, and shows how far it is."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import boto3
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from scripts.command_line.account.deployment import RETRIES, Deployment, find_deployment, is_deleted
from scripts.command_line.account.instance import InstanceState, instance_state, known_run_id
from scripts.command_line.account.runs import read_status
from scripts.command_line.account.unfinished_runs import ENDED, WORKS, latest_status
from scripts.command_line.results.boot_records import find_boot_failure
from scripts.command_line.terminal.command_error import CommandError
from userdata.contract.status import Status
from userdata.worker.bucket.passing_errors import is_transient

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

DOING = {
    "boot": "The instance boots",
    "driver": "The GPU driver is checked",
    "environment": "The environment is prepared",
    "weights": "The model weights are fetched",
    "worker": "The worker starts",
    "model": "The model is loaded",
    "generating": "Images are generated",
    "uploading": "The last images are uploaded",
    "done": "Done",
    "capped": "Ended at MaxSpend",
    "failed": "Failed",
}
OUT_OF_REACH = "AWS cannot be reached: trying again"
# A laptop changes its network, or wakes up.
OUT_OF_REACH_SECONDS = 300


class EndedEarlyError(CommandError):
    """The instance no longer runs, and the run is not done. `state` is the instance's."""

    def __init__(self, message: str, state: InstanceState) -> None:
        super().__init__(message)
        self.state = state


def watch_run(
    session: boto3.Session,
    deployment: Deployment,
    run_id: str,
    console: Console,
    *,
    every_seconds: float,
    hours: float,
    before: Status | None = None,
    queued: bool = False,
    waits: str = DOING["boot"],
    out_of_reach_seconds: float = OUT_OF_REACH_SECONDS,
) -> Status:
    """Waits until the run is done or has ended at MaxSpend, looking every so many seconds, and returns its last status.

    Raises `EndedEarlyError` when the instance no longer runs, and `CommandError` when the run fails, when the instance
    works on another run, or after `hours`. An early end belongs to an earlier attempt if it is from before the latest
    start of the instance, and any end if it is `before`, what the status was when the run was asked for again. A run
    that is `queued` is not the deployed one, and waits where another command deploys. `waits` is shown while the
    instance runs and the run has no status. The run goes on without the watcher, so a network that is away for less
    than `out_of_reach_seconds` ends nothing.
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
    # Without a terminal Rich would end the bar that nobody sees with an empty line.
    with Progress(*columns, console=console, transient=True, disable=not console.is_interactive) as progress:
        task = progress.add_task(DOING["boot"], total=None)
        reached_at, launched_at = time.monotonic(), None
        while time.monotonic() < deadline:
            try:
                state, status = _look(session, s3, deployment, run_id, before)
            except CommandError as error:
                if not is_transient(error.__cause__) or time.monotonic() - reached_at > out_of_reach_seconds:
                    raise
                progress.update(task, description=OUT_OF_REACH)
                time.sleep(every_seconds)
                continue
            reached_at = time.monotonic()
            quiet = waits if state.name == "running" else DOING["boot"]
            progress.update(task, description=DOING[status.phase] if status else quiet)
            if status:
                progress.update(task, completed=status.images_done, total=status.images_total or None)
            if status and status.phase in ("done", "capped"):
                return status
            was_started_again = launched_at not in (None, state.launched_at)
            launched_at = state.launched_at
            if not queued and (state.name not in WORKS or was_started_again):
                _refuse_another_run(session, deployment, run_id)
            if state.name not in WORKS:
                raise EndedEarlyError(_ended_early(session, deployment, state, run_id), state)
            time.sleep(every_seconds)
    raise CommandError(f"Run {run_id} was not done after {hours:g} hours; see `sd status`.")


def _look(
    session: boto3.Session, s3: S3Client, deployment: Deployment, run_id: str, before: Status | None
) -> tuple[InstanceState, Status | None]:
    # The state is read before the status, because an instance stops only after its last status is written.
    state = instance_state(session, deployment)
    status = read_status(s3, deployment.bucket, run_id)
    status = latest_status(status, state)
    if status and status == before and status.phase in ENDED:
        status = None
    _raise_failure(s3, deployment, run_id, status, state)
    return state, status


def _refuse_another_run(session: boto3.Session, deployment: Deployment, run_id: str) -> None:
    """Raises `CommandError` where another command has deleted the stack, or given it another run."""
    stack, now = deployment.stack, find_deployment(session, deployment.stack)
    refuse_deleted(stack, now, run_id)
    other = known_run_id(now) if now and now.stands else None
    if other not in (None, run_id):
        raise CommandError(
            f"Another command has deployed run {other} into {stack}, so run {run_id} was interrupted. What it had "
            f"saved stays: `sd results {run_id}`. Deploy it again when {other} is done, and it goes on: `sd status`."
        )


def refuse_deleted(stack: str, now: Deployment | None, run_id: str) -> None:
    """Raises `CommandError` where another command has deleted the stack, which stands as `now` says."""
    if is_deleted(now):
        raise CommandError(
            f"Another command has deleted the stack {stack}, so run {run_id} was interrupted. What it had saved stays, "
            f"unless you deployed with keep_results=false: `sd results {run_id}`."
        )


def _ended_early(session: boto3.Session, deployment: Deployment, state: InstanceState, run_id: str) -> str:
    ended = f"The instance {deployment.instance_id} is {state.name}, but run {run_id} is not done. "
    now = find_deployment(session, deployment.stack)
    if now and now.is_changing:
        return f"{ended}Another command changes {now.stack}, which is {now.state}: look at `sd status`."
    if not state.is_gone:
        return ended + "Start it again: `sd start`; the run goes on where it was."
    again = "`sd deploy` makes a new one, which goes on with the run"
    return ended + again + ("; on demand, with -c spot=false, AWS does not take it back." if state.is_spot else ".")


def _raise_failure(
    s3: S3Client, deployment: Deployment, run_id: str, status: Status | None, state: InstanceState
) -> None:
    failure = status.error if status and status.phase == "failed" else None
    if status is None and state.launched_at:
        failure = find_boot_failure(s3, deployment.bucket, deployment.instance_id, state.launched_at)
    if failure:
        raise CommandError(
            f"Run {run_id} failed at {failure.step}: {failure.message}\n\nThe log ends with:\n{failure.log_tail}"
        )
