"""`sd hold`: keeps an idle instance up for a while, by an object in the bucket that the worker reads."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import boto3

from scripts.command_line.account.deployment import RETRIES, Deployment
from scripts.command_line.account.instance import InstanceState, instance_state, known_run_id
from scripts.command_line.account.objects import read
from scripts.command_line.account.runs import read_status
from scripts.command_line.account.unfinished_runs import WORKS
from scripts.command_line.documents.machine import HoldDocument
from scripts.command_line.terminal.command_error import CommandError, aws_errors_in_words
from scripts.interruption.signals import when_interrupted
from userdata.contract.hold import Hold
from userdata.contract.layout import hold_key

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

OFF = "off"
LENGTH = re.compile(r"(?:(?P<hours>[0-9]{1,4})h)?(?:(?P<minutes>[0-9]{1,5})m)?")


def parse_length(text: str) -> timedelta:
    """The length of `2h`, `90m` or `1h30m`. Raises `CommandError`, for misuse, for anything else and for nothing."""
    match = LENGTH.fullmatch(text)
    parts = {name: int(value) for name, value in match.groupdict().items() if value} if match else {}
    length = timedelta(**parts)
    if not length:
        raise CommandError(
            f"The hold is {text!r}, but must be hours and minutes, for example 2h, 90m or 1h30m, or {OFF}.",
            exit_status=2,
        )
    return length


def need_length(text: str, deployment: Deployment) -> timedelta:
    """The length of a hold. Raises `CommandError`, for misuse, as `parse_length` does and for one beyond MaxHours."""
    length = parse_length(text)
    hours = float(deployment.parameters["MaxHours"])
    if length > timedelta(hours=hours):
        raise CommandError(
            f"The hold is {text!r}, but must not be longer than MaxHours, which is {hours:g} here and ends the "
            "instance, held or not. Hold for less, or deploy with a larger --max-hours.",
            exit_status=2,
        )
    return length


@when_interrupted(lambda: "Interrupted: `sd hold` shows whether the instance is held.")
def hold_instance(session: boto3.Session, deployment: Deployment, text: str | None, *, now: datetime) -> str:
    """Sets a hold that ends `text` after `now`, ends the hold for `off`, or only looks for None; returns a sentence.

    Raises `CommandError` for a hold beyond MaxHours, which ends the instance anyway, and for an instance that does not
    run.
    """
    s3: S3Client = session.client("s3", config=RETRIES)
    key = hold_key(deployment.instance_id)
    if text is None:
        return _tell(read_hold(s3, deployment), deployment.instance_id, now)
    if text == OFF:
        with aws_errors_in_words(f"delete {key} in {deployment.bucket}"):
            s3.delete_object(Bucket=deployment.bucket, Key=key)
        return f"{deployment.instance_id} is not held: the instance ends once it has been idle for IdleMinutes."
    length = need_length(text, deployment)
    state = instance_state(session, deployment)
    if state.name not in WORKS:
        raise CommandError(
            f"{deployment.instance_id} is {state.name}: there is nothing to hold. {_what_runs(s3, deployment, state)}"
        )
    hold = Hold(deployment.instance_id, now + length)
    write_hold(s3, deployment, hold)
    return _tell(hold, deployment.instance_id, now)


def _what_runs(s3: S3Client, deployment: Deployment, state: InstanceState) -> str:
    """Which command gives an instance that can be held."""
    run_id = known_run_id(deployment)
    status = read_status(s3, deployment.bucket, run_id) if run_id else None
    if status and status.phase == "done":
        more = "makes a new instance" if state.is_gone else "starts it, and so does `sd generate`"
        return f"Run {run_id} is done. A deploy of another one {more}: `sd deploy`."
    if state.is_gone:
        return "`sd deploy` makes a new instance in its place, which goes on with the run."
    return "Start it: `sd start`."


def read_hold(s3: S3Client, deployment: Deployment) -> Hold | None:
    """The hold on the instance, ended or not; None without one. Raises `CommandError` when the bucket does not say."""
    content = read(s3, deployment.bucket, hold_key(deployment.instance_id))
    try:
        return Hold.from_json(content) if content else None
    except ValueError:
        return None


def hold_document(session: boto3.Session, deployment: Deployment, message: str) -> HoldDocument:
    """The hold as it stands, for programs. Raises `CommandError` when the bucket does not say."""
    hold = read_hold(session.client("s3", config=RETRIES), deployment)
    until = hold.until if hold and hold.until > datetime.now(UTC) else None
    return HoldDocument(instance_id=deployment.instance_id, held_until=until, message=message)


def write_hold(s3: S3Client, deployment: Deployment, hold: Hold) -> None:
    """Sets the hold on the instance, in the place of any other. Raises `CommandError`."""
    key = hold_key(deployment.instance_id)
    with aws_errors_in_words(f"write {key} into {deployment.bucket}"):
        s3.put_object(Bucket=deployment.bucket, Key=key, Body=hold.to_json(), ContentType="application/json")


def _tell(hold: Hold | None, instance_id: str, now: datetime) -> str:
    if hold is None or hold.until <= now:
        return f"{instance_id} is not held."
    return (
        f"{instance_id} is held until {hold.until.astimezone(UTC):%Y-%m-%d %H:%M} UTC, MaxHours permitting; "
        "the instance costs money until then. `sd hold off` ends the hold."
    )
