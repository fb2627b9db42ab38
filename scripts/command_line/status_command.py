"""`sd status`: the instance, and how far its work is."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console

from scripts.command_line.terminal.common_options import STACK, Profile, Region, Stack
from scripts.command_line.terminal.plain_text import say

NO_STATUS = "The run has not begun, or a later version draws it"
# `sd results --list` shows them all.
MOST_BATCHES = 3


def status(
    timeline: Annotated[bool, typer.Option("--timeline", help="Show where the time of each boot went.")] = False,
    stack: Stack = STACK,
    region: Region = None,
    profile: Profile = None,
) -> None:
    """Show the instance, and how far the deployed job and the latest three batches are."""
    from scripts.command_line.account.deployment import RETRIES, find_deployment, need_deployment
    from scripts.command_line.account.instance import deployed_run_id, instance_state
    from scripts.command_line.account.runs import Run, list_batches, read_status
    from scripts.command_line.account.unfinished_runs import with_interruptions
    from scripts.command_line.account.waiting import runs_waiting, waiting_in_words
    from scripts.command_line.batches.around import QUEUE, with_progress
    from scripts.command_line.batches.left_behind import show_interrupted
    from scripts.command_line.fleet.stop import fleet_in_words
    from scripts.command_line.results.fetch_results import show_runs
    from scripts.command_line.results.timeline import read_timelines, show_timelines
    from scripts.command_line.results.watch import DOING
    from scripts.command_line.terminal.session import open_session

    session = open_session(region, profile)
    if find_deployment(session, stack) is None:
        show_interrupted(session, stack, Console())
    deployment = need_deployment(session, stack)
    state = instance_state(session, deployment).name
    say(f"{stack} is {deployment.state}; instance {deployment.instance_id} is {state}.")
    if deployment.trouble:
        say(deployment.trouble)
    for sentence in fleet_in_words(session, deployment):
        say(sentence)
    if waiting := runs_waiting(session, deployment):
        say(f"There {'is' if waiting == 1 else 'are'} {waiting_in_words(waiting)}.")
    run_id = deployed_run_id(deployment)
    s3 = session.client("s3", config=RETRIES)
    (run,) = with_interruptions(session, [Run(run_id, read_status(s3, deployment.bucket, run_id))], deployed=run_id)
    doing = "Interrupted" if run.is_interrupted else DOING[run.status.phase] if run.status else NO_STATUS
    say(f"{doing}.")
    batches = list_batches(s3, deployment.bucket)[-MOST_BATCHES:] if QUEUE in deployment.outputs else []
    show_runs([*with_progress(session, deployment.bucket, batches), run], Console())
    if timeline:
        found = read_timelines(s3, deployment.bucket, instance_id=deployment.instance_id, run_id=run_id)
        show_timelines(found, Console())
