"""Asks before a deploy takes something away: a run in progress, or an instance that stands."""

from __future__ import annotations

import boto3
from rich.console import Console

from scripts.command_line.account.deployment import Deployment, deployed_settings
from scripts.command_line.account.instance import instance_state, known_run_id
from scripts.command_line.account.plan import Plan
from scripts.command_line.account.runs import Run
from scripts.command_line.account.unfinished_runs import deployed_run_left_off, run_in_progress
from scripts.command_line.fleet.group import read_group
from scripts.command_line.fleet.stop import machines_in_words
from scripts.command_line.terminal.command_error import CommandError
from scripts.command_line.terminal.plain_text import print_plain
from scripts.command_line.terminal.question import ask


def ask_first(session: boto3.Session, plan: Plan, console: Console, *, yes: bool) -> None:
    """Says what the deploy of `plan` takes away, and asks, unless `yes`. Raises `CommandError` without a yes.

    The run that the plan asks for is followed and not asked about, whoever deployed it.
    """
    deployment = plan.deployment
    if deployment is None:
        return
    told = []
    other = run_in_progress(session, deployment)
    if other and other.run_id != plan.run_id:
        told.append(f"{cut_off(other, deployment)} {_goes_on(other, deployment)}")
    elif (left := deployed_run_left_off(session, deployment)) and left.run_id != plan.run_id:
        told.append(
            f"This takes the place of run {left.run_id}, which is not done ({_how_far(left) or 'not begun'}), on "
            f"{deployment.instance_id}. What it has saved stays in the bucket. {_goes_on(left, deployment)}"
        )
    if deployed_settings(deployment).get("fleet") and not plan.settings.fleet:
        group = read_group(session, deployment)
        if group and group.machines:
            count = machines_in_words(len(group.machines))
            told.append(f"The fleet goes: {count} will end, with what they draw.")
    if plan.moves and "Replaces" not in plan.changes and not instance_state(session, deployment).is_gone:
        told.append(
            f"A new instance takes the place of {deployment.instance_id}, whose disk goes. The images stay in the "
            "bucket, and what it caches makes the new boot shorter."
        )
    if not told:
        return
    if yes:
        print_plain(" ".join(told), console, soft_wrap=True)
        return
    if not ask(f"{' '.join(told)} Go on?", otherwise="Nothing was deployed"):
        raise CommandError(f"Nothing was deployed: {deployment.stack} is as it was; see `sd status`.")


def cut_off(run: Run, deployment: Deployment) -> str:
    """Says which run ends before it is done, and how far it is."""
    return (
        f"This cuts off run {run.run_id}, which is not done ({_how_far(run) or 'its instance boots'}), on "
        f"{deployment.instance_id}. What it has saved stays in the bucket."
    )


def _how_far(run: Run) -> str:
    return f"{run.status.phase}, {run.done} images" if run.status else ""


def _goes_on(run: Run, deployment: Deployment) -> str:
    """When a run that is cut off goes on: the worker gives the message of one that came by a queue back."""
    if known_run_id(deployment) in (None, run.run_id):
        return "It goes on only when it is deployed again."
    return "Its message goes back into the queue, so that it goes on behind the new run."


def refuse_what_changed(found: Deployment | None, plan: Plan) -> None:
    """Raises `CommandError` when another command has deployed another run since `plan` was made from the stack."""
    if found and (other := deployed_meanwhile(found, plan)):
        raise CommandError(
            f"Nothing was deployed, because another command has just deployed run {other} into {found.stack}. Look at "
            "`sd status`, and deploy again when that run is done."
        )


def deployed_meanwhile(found: Deployment | None, plan: Plan) -> str | None:
    """The run that another command has deployed since `plan` was made from the stack; None for none."""
    other = known_run_id(found) if found and found.stands else None
    before = known_run_id(plan.deployment) if plan.deployment else None
    return None if other in (before, plan.run_id) else other


def need_own_run(standing: Deployment, run_id: str) -> None:
    """Raises `CommandError` when the stack holds another run than the one that was just deployed."""
    other = known_run_id(standing)
    if other not in (None, run_id):
        raise CommandError(
            f"{standing.stack} now holds run {other}, not {run_id}: another command has deployed it at the same time. "
            f"Images of {run_id} that were made stay in the bucket. Deploy it again when {other} is done; see "
            "`sd status`."
        )
