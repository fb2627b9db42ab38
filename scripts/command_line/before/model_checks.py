"""What `sd doctor` checks about the model: whether it fits the machine, and whether it may be fetched."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import boto3
import botocore.exceptions

from scripts.command_line.account.deployment import RETRIES
from scripts.command_line.account.plan import Plan
from scripts.command_line.account.zones import kept_in_words
from scripts.command_line.before.check import Check
from scripts.command_line.before.companion_checks import (
    EMBEDDINGS,
    VAE,
    check_companion_beginning,
    check_companion_file,
)
from scripts.command_line.before.lora_checks import (
    SOON,
    Beginning,
    beginning_of_object,
    beginning_on_the_hub,
    check_lora_beginning,
    check_lora_file,
)
from scripts.command_line.terminal.command_error import CommandError, aws_errors_in_words
from stacks.facts.machine_parameters import MachineParameters
from stacks.facts.model_refusal import licence_words, refusal, restricted, ways_of
from userdata.boot.fetch.hub import UnreachableError, pin_hub_file
from userdata.boot.fetch.request import Pinned
from userdata.boot.machine.step_error import StepError
from userdata.contract.catalogue import HUB_PLACE, S3, find_model, hub_parts
from userdata.contract.companion_files import listed_embeddings
from userdata.contract.layout import INPUTS
from userdata.contract.lora_list import listed_loras
from userdata.job.job import Job

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_ssm import SSMClient

logger = logging.getLogger(__name__)
Pin = Callable[..., Pinned | None]


def check_model(
    session: boto3.Session,
    job: Job,
    machine: MachineParameters,
    *,
    bucket: str | None = None,
    uploads: Mapping[str, Path] | None = None,
    pin: Pin = pin_hub_file,
) -> None:
    """Raises `CommandError` for a model, or a file beside it, that does not fit, is not there or may not be fetched.

    A model has to fit `machine`; a LoRA, a VAE and an embedding have to fit the model. `bucket` is the results bucket,
    if there is one yet, and `uploads` are the files of this machine that a deploy will upload there, by their keys.
    What only the instance can tell passes: the hub may not answer here, and the instance has a role of its own.
    """
    model = find_model(job.model)
    if (licensed := restricted(model)) and machine.accept_licence != licensed.name:
        raise CommandError(f"{licence_words(licensed)} (`sd deploy --accept-licence {licensed.name}`)", exit_status=2)
    why_not = refusal(
        model,
        instance_type=machine.instance_type,
        volume_size=machine.volume_size,
        engine=str(job.engine),
        ways=ways_of(job),
    )
    if why_not:
        raise CommandError(why_not)
    token = _token(session, machine.hub_token) if machine.hub_token else None
    if model.gated:
        if token is None:
            raise CommandError(
                f"Model {job.model} wants a token: accept the licence at {model.page}, then store a token of that "
                "account and name it, for example: `aws ssm put-parameter --type SecureString --name "
                "/sd-on-ec2/hugging-face --value file://token.txt`, and --hub-token /sd-on-ec2/hugging-face."
            )
        assert model.repository
        _check_hub(pin, model.repository, model.revision, model.files[0].path, token)
    _look_into(session, job.model, token, pin)
    for lora in listed_loras(job.lora):
        if uploads and lora.place in uploads:
            check_lora_file(uploads[lora.place], job)
        elif beginning := _look_into(session, _whole_place(lora.place, bucket), token, pin):
            check_lora_beginning(PurePosixPath(lora.place).name, job, beginning)
    companions = [(EMBEDDINGS, one.place) for one in listed_embeddings(job.embeddings)]
    for parameter, place in [(VAE, job.vae)] * bool(job.vae) + companions:
        if uploads and place in uploads:
            check_companion_file(parameter, uploads[place], job)
        elif beginning := _look_into(session, _whole_place(place, bucket), token, pin):
            check_companion_beginning(parameter, PurePosixPath(place).name, job, beginning)


def _whole_place(place: str, bucket: str | None) -> str:
    if not place.startswith(INPUTS):
        return place
    if bucket is None:
        raise CommandError(
            f"There is no {place}, because there is no results bucket yet. Give a file of this machine, which the "
            "deploy uploads."
        )
    return f"{S3}{bucket}/{place}"


def _look_into(session: boto3.Session, place: str, token: str | None, pin: Pin) -> Beginning | None:
    """Checks that the file at `place` is there, and returns what reads its beginning; None for a catalogue's name."""
    if place.startswith(HUB_PLACE):
        pinned = _check_hub(pin, *hub_parts(place), token)
        return beginning_on_the_hub(pinned) if pinned else None
    if place.startswith(S3):
        _check_object(session, place)
        return beginning_of_object(session, place)
    return None


def check_weights(session: boto3.Session, plan: Plan) -> Check:
    """Whether the model's weights may be fetched, and under which licence."""
    model = find_model(plan.job.model)
    found = f"{plan.job.model}: {model.licence}"
    standing = plan.deployment.outputs.get("ResultsBucket") if plan.deployment else None
    bucket = plan.settings.output_bucket or standing
    try:
        check_model(session, plan.job, plan.machine, bucket=bucket, uploads=plan.uploads)
    except CommandError as error:
        return Check("model", "problem", f"{found}; {error}", blocks=True)
    kept = kept_in_words(plan.job, plan.machine.instance_type)
    said = f"{found}; {model.page or 'nothing to download'}"
    return Check("model", "ok", f"{said}. {kept.removesuffix('.')}" if kept else said)


def _token(session: boto3.Session, name: str) -> str:
    ssm: SSMClient = session.client("ssm", config=RETRIES)
    with aws_errors_in_words(f"read the token {name}"):
        try:
            found = ssm.get_parameter(Name=name, WithDecryption=True)["Parameter"]
        except ssm.exceptions.ParameterNotFound as error:
            raise CommandError(
                f"HubToken is {name!r}, but Parameter Store has no such parameter in {session.region_name}. Store it: "
                f"`aws ssm put-parameter --type SecureString --name {name} --value file://token.txt`."
            ) from error
    if found["Type"] != "SecureString":
        raise CommandError(
            f"HubToken is {name!r}, which is a {found['Type']}: a token is a secret, so store it as a SecureString."
        )
    return found["Value"].strip()


def _check_hub(pin: Pin, repository: str, revision: str, path: str, token: str | None) -> Pinned | None:
    try:
        return pin(repository=repository, revision=revision, path=path, token=token, manner=SOON)
    except UnreachableError as error:
        logger.info("%s", error)
        return None
    except StepError as error:
        raise CommandError(str(error)) from error


def _check_object(session: boto3.Session, place: str) -> None:
    bucket, _, key = place.removeprefix(S3).partition("/")
    s3: S3Client = session.client("s3", config=RETRIES)
    with aws_errors_in_words(f"look for {place}"):
        try:
            s3.head_object(Bucket=bucket, Key=key)
        except botocore.exceptions.ClientError as error:
            if error.response["Error"]["Code"] in ("404", "NoSuchKey", "NoSuchBucket"):
                raise CommandError(f"There is no object {place}. Upload it, or correct the name.") from error
            if error.response["Error"]["Code"] not in ("403", "AccessDenied"):
                raise
