"""A stack at one moment: its instance, its fleet, its queue, the deployed job and the latest batches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import boto3
from rich.console import Console

from scripts.command_line.account.deployment import RETRIES, Deployment
from scripts.command_line.account.instance import deployed_run_id, instance_state, kept_on_the_card
from scripts.command_line.account.objects import read_if_possible
from scripts.command_line.account.runs import Run, list_batches, read_status
from scripts.command_line.account.unfinished_runs import with_interruptions
from scripts.command_line.account.waiting import runs_waiting, waiting_in_words
from scripts.command_line.batches.around import QUEUE, with_progress
from scripts.command_line.batches.show import row_of
from scripts.command_line.documents.machine import BootRow, InstanceRow, PhaseRow, StatusDocument
from scripts.command_line.fleet.stop import fleet_in_words
from scripts.command_line.results.fetch_results import show_runs
from scripts.command_line.results.gpu_plot import gpu_plot
from scripts.command_line.results.timeline import Timeline, read_timelines, show_timelines
from scripts.command_line.results.watch import DOING
from scripts.command_line.terminal.plain_text import print_plain, say
from userdata.contract.layout import RunKeys

NO_STATUS = "The run has not begun, or a later version draws it"
# `sd results --list` shows them all.
MOST_BATCHES = 3


@dataclass(frozen=True)
class Stack:
    """What was found. `boots` is None where nobody asked for them; `gpu` plots how busy the GPU was over the run."""

    deployment: Deployment
    instance_state: str
    fleet: Sequence[str]
    waiting: int
    run: Run
    batches: Sequence[Run]
    boots: list[Timeline] | None
    gpu: list[str]


def look(session: boto3.Session, deployment: Deployment, *, with_boots: bool) -> Stack:
    """Looks at everything. Raises `CommandError` where AWS does not answer."""
    bucket, run_id = deployment.bucket, deployed_run_id(deployment)
    s3 = session.client("s3", config=RETRIES)
    state = instance_state(session, deployment).name
    fleet, waiting = fleet_in_words(session, deployment), runs_waiting(session, deployment)
    (run,) = with_interruptions(session, [Run(run_id, read_status(s3, bucket, run_id))], deployed=run_id)
    batches = list_batches(s3, bucket)[-MOST_BATCHES:] if QUEUE in deployment.outputs else []
    boots, gpu = None, list[str]()
    if with_boots:
        boots = read_timelines(s3, bucket, instance_id=deployment.instance_id, run_id=run_id)
        gpu = gpu_plot(read_if_possible(s3, bucket, RunKeys(run_id).gpu) or b"")
    return Stack(deployment, state, fleet, waiting, run, with_progress(session, bucket, batches), boots, gpu)


def show(stack: Stack, console: Console) -> None:
    """Prints it. Raises `CommandError` where boots were asked for, and there are none."""
    deployment, run = stack.deployment, stack.run
    say(f"{deployment.stack} is {deployment.state}; instance {deployment.instance_id} is {stack.instance_state}.")
    if deployment.trouble:
        say(deployment.trouble)
    for sentence in [*kept_on_the_card(deployment), *stack.fleet]:
        say(sentence)
    if stack.waiting:
        say(f"There {'is' if stack.waiting == 1 else 'are'} {waiting_in_words(stack.waiting)}.")
    doing = "Interrupted" if run.is_interrupted else DOING[run.status.phase] if run.status else NO_STATUS
    say(f"{doing}.")
    show_runs([*stack.batches, run], console)
    if stack.boots is not None:
        show_timelines(stack.boots, console)
    for line in stack.gpu:
        print_plain(line, console)


def status_document(stack: Stack) -> StatusDocument:
    """The same for programs."""
    deployment = stack.deployment
    return StatusDocument(
        stack=deployment.stack,
        stack_state=deployment.state,
        trouble=deployment.trouble or None,
        instance=InstanceRow(instance_id=deployment.instance_id, state=stack.instance_state),
        fleet=list(stack.fleet),
        runs_waiting=stack.waiting,
        run=row_of(stack.run),
        batches=[row_of(batch) for batch in stack.batches],
        boots=None if stack.boots is None else [_boot(one) for one in stack.boots],
    )


def _boot(boot: Timeline) -> BootRow:
    phases = [PhaseRow(phase=name, after_seconds=after, seconds=takes) for name, after, takes, _bar in boot.rows()]
    return BootRow(started_at=boot.started_at, phases=phases)
