"""`sd deploy`: read what was typed, look at what stands, plan, and only then act."""

from __future__ import annotations

import dataclasses
import functools
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime
from pathlib import Path

import boto3
from rich.console import Console

from scripts.command_line.account.deployment import (
    RETRIES,
    Deployment,
    bucket_of_deploy,
    find_deployment,
    need_deployment,
)
from scripts.command_line.account.goes_on import deploy_goes_on, run_goes_on
from scripts.command_line.account.identity import tell_identity
from scripts.command_line.account.instance import NoCapacityError, Start, instance_to_replace, start_for_job
from scripts.command_line.account.others import wait_for_others
from scripts.command_line.account.plan import Plan, make_plan, parse_context
from scripts.command_line.account.runs import Run
from scripts.command_line.account.zones import choose_zone, kept_in_words
from scripts.command_line.deploying.capacity import explain_capacity
from scripts.command_line.deploying.cdk import cdk_deploy
from scripts.command_line.deploying.consent import ask_first, deployed_meanwhile, need_own_run, refuse_what_changed
from scripts.command_line.deploying.inputs import EXAMPLES, check_inputs, inputs_of_deploy, upload_inputs
from scripts.command_line.deploying.local_files import find_model_files
from scripts.command_line.deploying.reservation import cancel_leftovers
from scripts.command_line.deploying.way_out import Rollback, cdk_rollback, find_freed
from scripts.command_line.deploying.wish import Wish
from scripts.command_line.documents.machine import DeployDocument
from scripts.command_line.results.written import need_writable
from scripts.command_line.terminal.command_error import CommandError
from scripts.command_line.terminal.json_option import print_document
from scripts.command_line.terminal.plain_text import print_plain, say
from scripts.command_line.terminal.typed_options import repeat_typed
from scripts.interruption.signals import when_interrupted
from stacks.facts.settings import BUCKET_ALONE
from userdata.contract.catalogue import find_model
from userdata.contract.image_size import rounded_in_words
from userdata.job.job import Job

POLL_SECONDS = 1.0
BEFORE = "Interrupted before the deploy: no instance was started or changed. What was uploaded stays in the bucket."
NO_XML = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
Cdk = Callable[[boto3.Session, Mapping[str, str], Mapping[str, str]], None]


@when_interrupted(lambda: BEFORE)
def deploy(
    session: boto3.Session,
    *,
    stack: str,
    given: Mapping[str, str],
    context: Sequence[str],
    fetch_to: Path | None,
    console: Console,
    wish: Wish | None = None,
    yes: bool = False,
    is_told: bool = False,
    as_json: bool = False,
    cdk: Cdk = cdk_deploy,
    rollback: Rollback = cdk_rollback,
) -> None:
    """Deploys the parameters `given` over those that stand; with `fetch_to`, waits for the images and downloads them.

    With a `wish`, types and zones are tried until AWS has an instance to give. `yes` cuts off a run in progress, and
    replaces an instance that stands, without a question. `is_told` says that the account was named already;
    `as_json` prints a document of what stands or was drawn.

    Raises `CommandError`; until the last check has passed, nothing has been created, changed or uploaded. Only a stack
    that is stuck is freed before the account is looked at, since what is left of it may be what a check would find.
    """
    # Read what was typed.
    if fetch_to is not None:
        need_writable(fetch_to)
    _refuse_control_characters(given)
    settings = parse_context(context, stack)
    stack = settings.get("stack") or stack
    typed, (given, uploads) = given, find_model_files(given)
    if not is_told:
        tell_identity(session, stack)
    wait_for_others(session, stack, console)

    # Look at what stands.
    others = {name: value for name, value in given.items() if name not in EXAMPLES}

    def context_of(stuck: Deployment) -> Mapping[str, str]:
        return make_plan(_standing(stuck), others, settings).context

    found = find_freed(session, stack, context_of, console, rollback)
    deployment = _standing(found)
    bucket = bucket_of_deploy(deployment, settings)
    if bucket is None and found and found.is_bucket_alone:
        bucket = found.bucket
    inputs, given, told = inputs_of_deploy(session, bucket, deployment.parameters if deployment else {}, given)
    has_files = bool(uploads) or any(one.is_file for one in inputs.values())
    if has_files and bucket is None and deployment:
        raise CommandError(
            f"{stack} gets a bucket of its own, which is not there yet, so no file of this machine can be uploaded. "
            "Deploy without a file first, then with it.",
            exit_status=2,
        )

    # Plan. The checks are imported here, behind the first questions to AWS, so that those are asked at once.
    from scripts.command_line.before.doctor import refuse_what_blocks

    plan = dataclasses.replace(make_plan(deployment, given, settings), typed=typed, uploads=uploads)
    run_id = plan.run_id
    for sentence in [*told, *check_inputs(inputs, plan), *rounded_in_words(plan.parameters)]:
        print_plain(sentence, console)
    gone = instance_to_replace(session, plan)
    if gone:
        print_plain(f"The instance {gone} is gone: a new one takes its place.", console)
        plan = plan.replacing(gone)
    cancel_leftovers(session, stack, console)  # before the checks, because they count in the quota
    if wish:
        # Here, and what follows a run below, because most deploys need neither and start sooner without.
        from scripts.command_line.deploying.ladder import Climb
        from scripts.command_line.deploying.rungs import find_rungs

        rungs = find_rungs(session, plan, wish, zone=settings.get("az"), console=console)
    else:
        refuse_what_blocks(session, plan)
        plan = _in_a_zone(session, plan)
    ask_first(session, plan, console, yes=yes)

    # Do.
    if has_files:
        if bucket is None:
            print_plain("The results bucket is made first, because it holds the uploaded files.", console)
            cdk(session, {}, {**plan.context, BUCKET_ALONE: "true"})
            bucket = need_deployment(session, stack).bucket
        upload_inputs(session, bucket, inputs, uploads)
    act = functools.partial(_deploy_and_start, session, stack, cdk, rollback, console, run_id)
    with _uploads_stay(bucket) if has_files and not deployment else nullcontext():
        if wish:
            standing, start = Climb(session, stack, console, yes=yes).until_one_stands(rungs, act)
        else:
            standing, start = act(plan)
    if fetch_to is not None:
        _follow(session, standing, plan.job, run_id, fetch_to, console, as_json=as_json)
        return
    say(repeat_typed(start.message, sys.argv[1:]))
    if as_json:
        message, instance = start.message, standing.instance_id
        print_document(DeployDocument(stack=stack, run_id=run_id, instance_id=instance, message=message))


def _refuse_control_characters(given: Mapping[str, str]) -> None:
    for name, value in given.items():
        if NO_XML.search(value):
            raise CommandError(
                f"{name} has control characters, such as an escape, which CloudFormation's answers cannot hold. Leave "
                "them out.",
                exit_status=2,
            )


@contextmanager
def _uploads_stay(bucket: str | None) -> Iterator[None]:
    """Adds to a failure of a first deploy where the files are that it has uploaded."""
    try:
        yield
    except CommandError as error:
        stays = f"The uploaded files stay in the bucket {bucket}: the same command goes on from there."
        raise CommandError(f"{error}\n{stays}", exit_status=error.exit_status) from error


def _in_a_zone(session: boto3.Session, plan: Plan) -> Plan:
    """A first deploy goes where the type is offered, without a word where that is the region's first zone."""
    if plan.deployment or plan.settings.az:
        return plan
    zone = choose_zone(session, plan.machine.instance_type)
    return dataclasses.replace(plan, context={**plan.context, **({"az": zone} if zone else {})})


def _deploy_and_start(
    session: boto3.Session, stack: str, cdk: Cdk, rollback: Rollback, console: Console, run_id: str, plan: Plan
) -> tuple[Deployment, Start]:
    """Raises `NoCapacityError` when another zone or another type may help, and else `CommandError`."""
    found = find_freed(session, stack, lambda _: plan.context, console, rollback)  # from an earlier rung of the ladder
    refuse_what_changed(found, plan)
    if kept := kept_in_words(plan.job, plan.machine.instance_type):
        print_plain(kept, console)
    with when_interrupted(lambda: deploy_goes_on(session, stack, plan)):
        _deploy_or_explain(session, stack, plan, cdk)
        standing = need_deployment(session, stack)
        need_own_run(standing, run_id)
        return standing, start_for_job(session, standing, run_id)


def _standing(found: Deployment | None) -> Deployment | None:
    return found if found and found.stands else None


def _deploy_or_explain(session: boto3.Session, stack: str, plan: Plan, cdk: Cdk) -> None:
    began = datetime.now(UTC)
    try:
        cdk(session, plan.changes, plan.context)
    except CommandError as error:
        found = None
        try:
            found = find_deployment(session, stack)
            explanation = explain_capacity(session, plan, stack=stack, since=began)
        except CommandError:
            explanation = None  # why the deploy failed is what a person must hear
        if other := deployed_meanwhile(found, plan):
            told = (
                f"Another command has deployed run {other} into {stack} at the same time. Look at `sd status`, and "
                "deploy again when that run is done."
            )
            raise CommandError(f"{error}\n{told}") from error
        if found and found.is_changing:
            # The CDK waits for the end of what it has begun itself, unless its network goes.
            told = f"{stack} is {found.state}: a deploy goes on in AWS, this one or another. Look at `sd status`."
            raise CommandError(f"{error}\n{told}") from error
        if explanation and explanation.elsewhere:
            raise NoCapacityError(f"{error}\n{explanation.text}", why=explanation.elsewhere) from error
        raise CommandError(f"{error}\n{explanation.text}" if explanation else str(error)) from error


def _follow(
    session: boto3.Session,
    deployment: Deployment,
    job: Job,
    run_id: str,
    fetch_to: Path,
    console: Console,
    *,
    as_json: bool,
) -> None:
    from scripts.command_line.results.fetch_results import fetch_runs, print_drawn
    from scripts.command_line.results.watch import watch_run

    s3 = session.client("s3", config=RETRIES)
    with when_interrupted(lambda: run_goes_on(session, deployment, run_id)):
        status = watch_run(
            session,
            deployment,
            run_id,
            console,
            every_seconds=POLL_SECONDS,
            hours=float(deployment.parameters["MaxHours"]),
        )
    if find_model(job.model).is_noise:
        print_plain(f"Model {job.model} has random weights: these pictures are noise.", console)
    fetch_runs(s3, deployment.bucket, [Run(run_id, status)], fetch_to, console, tell=print_drawn if as_json else None)
    if status.phase == "capped":
        raise CommandError(f"Run {run_id} is not complete. {status.note or ''}")
