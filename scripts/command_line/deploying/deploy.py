"""`sd deploy`: the checks, the deploy, and what has to follow it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import boto3
import typer
from rich.console import Console

from scripts.command_line.account.deployment import (
    RETRIES,
    Deployment,
    deployed_settings,
    find_standing,
    need_deployment,
)
from scripts.command_line.account.instance import deployed_job, deployed_run_id, needs_new_instance, start_for_job
from scripts.command_line.account.plan import Plan, check_settings, make_plan, parse_context
from scripts.command_line.account.runs import Run
from scripts.command_line.account.zones import choose_zones
from scripts.command_line.before.doctor import refuse_what_blocks
from scripts.command_line.before.model_checks import check_model
from scripts.command_line.deploying.capacity import explain_capacity
from scripts.command_line.deploying.cdk import cdk_deploy
from scripts.command_line.deploying.inputs import check_initial_image, check_prompt_file, find_input, upload_input
from scripts.command_line.results.fetch_results import fetch_runs
from scripts.command_line.results.watch import watch_run
from scripts.command_line.terminal.command_error import CommandError
from scripts.command_line.terminal.parameter_options import check_parameters
from userdata.contract.catalogue import find_model
from userdata.contract.image_size import EDGES, rounded_in_words, takes_size_of_image
from userdata.contract.run_name import run_name
from userdata.job.job import Job

POLL_SECONDS = 1.0
# The parameters that name files here, until these are uploaded.
NO_INPUTS = {"InitImage": "", "PromptFile": ""}


def deploy(
    session: boto3.Session,
    *,
    stack: str,
    given: Mapping[str, str],
    context: Sequence[str],
    fetch_to: Path | None,
    console: Console,
) -> None:
    """Deploys what was given over what is deployed; with `fetch_to`, waits for the images and downloads them there.

    Raises `CommandError`; until the last check has passed, nothing has been created or changed.
    """
    check_settings(parse_context(context))
    check_parameters({**given, **NO_INPUTS})
    deployment = find_standing(session, stack)
    settings = {**deployed_settings(deployment), **parse_context(context)}
    before = deployment.parameters if deployment else {}
    wanted = {**before, **given}
    job, machine = check_parameters({**wanted, **NO_INPUTS})
    check_model(session, job, machine)
    given = {**given, **_prepare_inputs(session, deployment, given, wanted, job)}
    check_parameters({**before, **given})
    for sentence in rounded_in_words({name: wanted.get(name, "") for name in ("Model", *EDGES)}):
        console.print(sentence, highlight=False)
    run_id = run_name({**job.model_dump(by_alias=True), **before, **given})
    if deployment and needs_new_instance(session, deployment, run_id, given):
        console.print(f"The instance {deployment.instance_id} is gone: a new one takes its place.", highlight=False)
        given = {**given, "Replaces": deployment.instance_id}
    plan = make_plan(deployment, given, settings)
    refuse_what_blocks(session, plan)
    if "az" not in settings:
        settings.setdefault("zones", _keep_zones(deployment) or choose_zones(session, machine.instance_type))
    _deploy_or_explain(session, stack, plan, given, settings)
    _follow(session, need_deployment(session, stack), fetch_to, console)


def _deploy_or_explain(
    session: boto3.Session, stack: str, plan: Plan, given: Mapping[str, str], settings: Mapping[str, str]
) -> None:
    began = datetime.now(UTC)
    try:
        cdk_deploy(session, given, settings)
    except CommandError as error:
        try:
            explanation = explain_capacity(
                session,
                stack=stack,
                since=began,
                plan=plan,
                given=given,
            )
        except CommandError:
            explanation = None  # why the deploy failed is what a person must hear
        raise CommandError(f"{error}\n{explanation}" if explanation else str(error)) from error


def _prepare_inputs(
    session: boto3.Session, deployment: Deployment | None, given: Mapping[str, str], wanted: Mapping[str, str], job: Job
) -> dict[str, str]:
    """Checks the files that were given, then uploads them; returns their keys by the parameters' names."""
    found = {name: find_input(session, deployment, name, given[name]) for name in NO_INPUTS if given.get(name)}
    if "InitImage" in found:
        check_initial_image(found["InitImage"], own_size=takes_size_of_image(wanted))
    if "PromptFile" in found:
        check_prompt_file(found["PromptFile"], job)
    return {name: upload_input(session, deployment, one) for name, one in found.items() if deployment}


def _keep_zones(deployment: Deployment | None) -> str | None:
    """The zones of the stack that is there: other ones would replace its network and its instance."""
    return deployment.outputs.get("Zones") if deployment else None


def _follow(session: boto3.Session, deployment: Deployment, fetch_to: Path | None, console: Console) -> None:
    job = deployed_job(deployment)
    run_id = deployed_run_id(deployment)
    start = start_for_job(session, deployment)
    if fetch_to is None:
        typer.echo(start.message)
        return
    s3 = session.client("s3", config=RETRIES)
    status = watch_run(
        session,
        deployment,
        run_id,
        console,
        every_seconds=POLL_SECONDS,
        hours=float(deployment.parameters["MaxHours"]),
    )
    if find_model(job.model).is_noise:
        console.print(f"Model {job.model} has random weights: these pictures are noise.", highlight=False)
    fetch_runs(s3, deployment.bucket, [Run(run_id, status)], fetch_to, console)
    if status.phase == "capped":
        raise CommandError(f"Run {run_id} is not complete. {status.note or ''}")
