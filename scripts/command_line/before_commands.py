"""`sd doctor` and `sd cost`: what a deploy needs, and what a job costs."""

from __future__ import annotations

import dataclasses
import sys
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from scripts.command_line.terminal.command_error import CommandError
from scripts.command_line.terminal.common_options import STACK, Profile, Region, Stack
from scripts.command_line.terminal.json_option import Json, print_document
from scripts.command_line.terminal.parameter_options import with_parameter_options
from scripts.command_line.terminal.settings_option import Context

if TYPE_CHECKING:
    import boto3

    from scripts.command_line.account.deployment import Deployment
    from scripts.command_line.account.plan import Plan

USUAL_REGION = "us-east-1"


@with_parameter_options
def doctor(
    parameters: dict[str, str],
    context: Context = [],  # noqa: B006  # typer reads it and makes its own
    as_json: Json = False,
    stack: Stack = STACK,
    region: Region = None,
    profile: Profile = None,
) -> None:
    """Check what a deploy needs, before it costs anything. The exit status is 1 if there is a problem."""
    from scripts.command_line.account.plan import parse_context
    from scripts.command_line.before.doctor import doctor_document, examine, show_checks
    from scripts.command_line.terminal.session import choose_session

    session = choose_session(region, profile)
    settings = parse_context(context, stack)
    deployment, _ = _look(session, settings.get("stack") or stack)
    plan = _plan(deployment, parameters, settings)
    checks = examine(session, plan)
    if as_json:
        print_document(doctor_document(checks))
    else:
        show_checks(checks, Console())
    if any(check.state == "problem" for check in checks):
        sys.exit(1)


@with_parameter_options
def cost(
    parameters: dict[str, str],
    context: Context = [],  # noqa: B006  # typer reads it and makes its own
    actual: Annotated[
        bool, typer.Option("--actual", help="Show what the runs in the bucket did cost, by their receipts.")
    ] = (False),
    every: Annotated[bool, typer.Option("--all", help="Show every supported instance type.")] = False,
    bucket: Annotated[
        str | None, typer.Option(metavar="NAME", help="With --actual: the bucket; default: the stack's.")
    ] = None,
    as_json: Json = False,
    stack: Stack = STACK,
    region: Region = None,
    profile: Profile = None,
) -> None:
    """Show what the job will cost on each instance type. With --actual, show what the runs did cost."""
    from scripts.command_line.account.deployment import RETRIES, bucket_of_deploy
    from scripts.command_line.account.plan import parse_context
    from scripts.command_line.account.results_bucket import find_bucket
    from scripts.command_line.account.runs import list_runs
    from scripts.command_line.batches.around import with_progress
    from scripts.command_line.cost.actual_cost import costs_document, read_costs, show_costs
    from scripts.command_line.cost.expected_cost import expect_cost, expected_document, show_expected
    from scripts.command_line.deploying.inputs import count_prompts
    from scripts.command_line.terminal.session import choose_session, credentials_of

    session = choose_session(region, profile)
    if actual:
        credentials_of(session)
        name = find_bucket(session, stack=stack, bucket=bucket)
        s3 = session.client("s3", config=RETRIES)
        costs = read_costs(s3, name, with_progress(session, name, list_runs(s3, name)))
        if as_json:
            print_document(costs_document(costs))
        else:
            show_costs(costs, Console())
        return
    settings = parse_context(context, stack)
    deployment, live = _look(session, settings.get("stack") or stack)
    plan = _plan(deployment, parameters, settings)
    if plan.job.from_file:
        bucket = bucket_of_deploy(deployment, settings)
        prompts = count_prompts(session, bucket, parameters.get("PromptFile", plan.job.from_file), plan.job)
        plan = dataclasses.replace(plan, prompts=prompts)
    found = expect_cost(session, plan, region=session.region_name or USUAL_REGION, live=live, every=every)
    if as_json:
        print_document(expected_document(found))
    else:
        show_expected(found, Console())


def _look(session: boto3.Session, stack: str) -> tuple[Deployment | None, bool]:
    """The deployment, and whether AWS could be asked: without an account the commands here go on without it."""
    from scripts.command_line.account.deployment import find_standing
    from scripts.command_line.terminal.session import credentials_of

    try:
        credentials_of(session)
        return find_standing(session, stack), True
    except CommandError:
        return None, False


def _plan(deployment: Deployment | None, parameters: dict[str, str], settings: dict[str, str]) -> Plan:
    """The plan, with the key of an example in place of an input, which may be a file that only a deploy uploads."""
    from scripts.command_line.account.plan import make_plan
    from scripts.command_line.deploying.inputs import EXAMPLES, left_out
    from scripts.command_line.deploying.local_files import find_model_files

    named, uploads = find_model_files(parameters)
    given = {name: EXAMPLES[name] if name in EXAMPLES and text else text for name, text in named.items()}
    undone = left_out(deployment.parameters, given) if deployment else {}
    plan = make_plan(deployment, {**undone, **given}, settings)
    return dataclasses.replace(plan, uploads=uploads)
