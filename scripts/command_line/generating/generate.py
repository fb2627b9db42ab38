"""`sd generate`: checks what was asked, hands it to the machine that stands, follows the run and downloads it."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
from rich.console import Console

from scripts.command_line.account.deployment import RETRIES, Deployment, find_deployment
from scripts.command_line.account.goes_on import run_goes_on
from scripts.command_line.account.identity import tell_identity
from scripts.command_line.account.instance import InstanceState, NoCapacityError, Start, instance_state, start_stopped
from scripts.command_line.account.others import wait_for_others
from scripts.command_line.account.runs import Run, read_status
from scripts.command_line.account.unfinished_runs import WORKS
from scripts.command_line.generating.machine import Stay, need_queue, plan_stay
from scripts.command_line.generating.send import send
from scripts.command_line.results.download import LeftOut, files_of
from scripts.command_line.results.watch import EndedEarlyError, refuse_deleted, watch_run
from scripts.command_line.results.written import need_writable
from scripts.command_line.terminal.command_error import CommandError
from scripts.command_line.terminal.parameter_options import as_option
from scripts.command_line.terminal.plain_text import in_shell, print_plain
from scripts.command_line.terminal.typed_options import repeat_typed, with_typed
from scripts.interruption.signals import when_interrupted
from userdata.contract.catalogue import find_model
from userdata.contract.status import Status
from userdata.job.seeds import next_seed

if TYPE_CHECKING:
    from scripts.command_line.generating.request import Request

POLL_SECONDS = 0.5
# An instance may be about to stop when a message is sent. One that stops again and again has another reason.
MOST_STARTS = 3


def generate(
    session: boto3.Session,
    *,
    stack: str,
    given: Mapping[str, str],
    hold: str,
    fetch_to: Path,
    console: Console,
    as_json: bool = False,
    show: bool = False,
) -> None:
    """Draws what `given` asks for on the instance of `stack`, and downloads the images below `fetch_to`.

    `hold` is how long the instance stays up afterwards; `as_json` prints a document of what has come, and `show` shows
    it in the terminal. A run that is there already is only downloaded. Raises `CommandError`; until the last check has
    passed, nothing has been uploaded, written or started.
    """
    need_writable(fetch_to)
    # Each first question to a service of AWS takes some tenths of a second, which a person would wait for one by one.
    with ThreadPoolExecutor() as pool:
        told = pool.submit(tell_identity, session, stack)
        deployment, queue = pool.submit(need_queue, session, stack).result()
        told.result()
    if deployment.is_changing:
        wait_for_others(session, stack, console)
        deployment, queue = need_queue(session, stack)
    # Behind the first questions to AWS, so that those are asked at once.
    from scripts.command_line.deploying.inputs import upload_inputs
    from scripts.command_line.generating.request import make_request
    from scripts.command_line.results.fetch_results import fetch_runs, print_drawn

    request = make_request(session, deployment, given)
    stay = plan_stay(deployment, request.plan, hold, region=session.region_name)
    for sentence in request.told:
        _say(console, sentence)
    s3 = session.client("s3", config=RETRIES)
    with ThreadPoolExecutor() as pool:
        looked = pool.submit(instance_state, session, deployment)
        before = read_status(s3, deployment.bucket, request.run_id)
        state = looked.result()
    if before and is_there(session, deployment, before):
        _say(console, there_already(request.run_id))
        status, last = before, "sd status"
    else:
        refuse_gone(deployment, state)
        with when_interrupted(lambda: f"Interrupted before run {request.run_id} was sent: no instance was started."):
            upload_inputs(session, deployment.bucket, request.inputs, request.loras)
        with when_interrupted(lambda: run_goes_on(session, deployment, request.run_id)):
            send(session, deployment.bucket, queue, request.plan.job)
            _say(console, f"Sent run {request.run_id}. {stay.price_in_words}")
            status = _follow(session, deployment, request, stay, before, console)
        last = "sd hold off" if stay.length else "sd stop --terminate" if request.plan.settings.spot else "sd stop"
    if find_model(request.plan.job.model).is_noise:
        _say(console, f"Model {request.plan.job.model} has random weights: these pictures are noise.")
    tell = print_drawn if as_json else None
    fetch_runs(s3, deployment.bucket, [Run(request.run_id, status)], fetch_to, console, tell=tell, show=show)
    if status.phase == "capped":
        raise CommandError(f"Run {request.run_id} is not complete. {status.note or ''}")
    _say(console, "What next:")
    for command in (_for_other_images(request, status), "sd results --list", last):
        _say(console, f"  {with_typed(command, sys.argv[1:])}")


def is_there(session: boto3.Session, deployment: Deployment, status: Status) -> bool:
    """Whether a run is done, and its images are still in the bucket."""
    if status.phase != "done":
        return False
    files = files_of(session.client("s3", config=RETRIES), deployment.bucket, status.run_id, Path(), LeftOut())
    images = [file for file in files if file.path.parent.name == "samples" and file.path.suffix == ".png"]
    return len(images) >= status.images_total


def there_already(run_id: str) -> str:
    """Says why nothing is drawn for a run that is there."""
    return f"Run {run_id} is there already, so nothing is drawn. For other images: --run-id NAME."


def refuse_gone(deployment: Deployment, state: InstanceState) -> None:
    """Raises `CommandError` before anything is sent to an instance that is terminated."""
    if state.is_gone:
        raise CommandError(
            f"The instance {deployment.instance_id} was terminated, so nothing can be drawn on it. Nothing was "
            "sent. `sd deploy` with the same options makes a new one in its place, and draws."
        )


def start_for_run(session: boto3.Session, deployment: Deployment, run_id: str) -> Start:
    """Starts the instance for a run whose message is in the queue. Raises `CommandError`, as `start_stopped` does."""
    try:
        return start_stopped(session, deployment, f"run {run_id}")
    except NoCapacityError as refused:
        raise CommandError(f"{refused} Run {run_id} waits in the queue until then.") from refused


def _follow(
    session: boto3.Session,
    deployment: Deployment,
    request: Request,
    stay: Stay,
    before: Status | None,
    console: Console,
) -> Status:
    """The run's last status. An instance that stops between the message and its end is started again.

    So is the one that another command's deploy has stopped or replaced, once that is over.
    """
    for _ in range(MOST_STARTS):
        if instance_state(session, deployment).name not in WORKS:
            deployment = _after_others(session, deployment, request.run_id, console)
            stay = dataclasses.replace(stay, deployment=deployment)
        start = start_for_run(session, deployment, request.run_id)
        if start.started:
            _say(console, start.message)
        stay.lengthen(session, now=datetime.now(UTC))
        try:
            status = watch_run(
                session,
                deployment,
                request.run_id,
                console,
                every_seconds=POLL_SECONDS,
                hours=request.plan.machine.max_hours,
                before=before,
                queued=True,
                waits="Waits for the worker",
            )
        except EndedEarlyError as error:
            if error.state.is_gone:
                now = _after_others(session, deployment, request.run_id, console)
                if now.instance_id == deployment.instance_id:
                    raise
            _say(console, f"The instance is {error.state.name} before the run is done, and is started again.")
            continue
        told = stay.lengthen(session, now=datetime.now(UTC))
        if told:
            _say(console, told)
        return status
    raise CommandError(
        f"The instance {deployment.instance_id} has stopped {MOST_STARTS} times before run {request.run_id} was done. "
        "Why, `sd status --timeline` and `sd report` tell; the run waits in the queue for a week."
    )


def _after_others(session: boto3.Session, deployment: Deployment, run_id: str, console: Console) -> Deployment:
    """The deployment once no other command changes it: an instance started meanwhile would make the change fail.

    Raises `CommandError` where the other command has deleted it.
    """
    wait_for_others(session, deployment.stack, console)
    refuse_deleted(deployment.stack, find_deployment(session, deployment.stack), run_id)
    return need_queue(session, deployment.stack)[0]


def _for_other_images(request: Request, status: Status) -> str:
    """The same command with the seed behind those that were drawn, quoted for a shell."""
    seed = next_seed(request.plan.job.seed, status.images_total)
    typed = {**request.plan.typed, "Seed": str(seed)}
    options = [as_option(name, value) for name, value in typed.items() if name != "Prompt"]
    # After "--" because else a prompt that begins with a dash would be taken for an option.
    prompt = ["--", typed["Prompt"]] if "Prompt" in typed else []
    return in_shell(["sd", "generate", *options, *prompt])


def _say(console: Console, sentence: str) -> None:
    print_plain(repeat_typed(sentence, sys.argv[1:]), console, soft_wrap=True)
