"""What `sd doctor` checks about the model: whether it fits the machine, and whether it may be fetched."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

import boto3
import botocore.exceptions

from scripts.command_line.account.deployment import RETRIES
from scripts.command_line.account.plan import Plan
from scripts.command_line.before.check import Check
from scripts.command_line.terminal.command_error import CommandError, aws_errors_in_words
from stacks.facts.machine_parameters import MachineParameters
from stacks.facts.model_refusal import refusal
from userdata.boot.fetch.download import Manner
from userdata.boot.fetch.hub import UnreachableError, pin_hub_file
from userdata.boot.machine.step_error import StepError
from userdata.contract.catalogue import S3, find_model, hub_parts
from userdata.contract.lora_list import listed_loras
from userdata.contract.patience import Patience
from userdata.job.job import Job

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_ssm import SSMClient

logger = logging.getLogger(__name__)
HUB = "hf:"
# A person waits, so a check that gets no quick answer is left to the instance.
SOON = Manner(patience=Patience(attempts=1), stall_seconds=10)


def check_model(
    session: boto3.Session, job: Job, machine: MachineParameters, *, pin: Callable[..., object] = pin_hub_file
) -> None:
    """Raises `CommandError` for a model or a LoRA that does not fit `machine`, is not there or may not be fetched.

    What only the instance can tell passes: the hub may not answer here, and the instance has a role of its own.
    """
    model = find_model(job.model)
    why_not = refusal(
        model,
        instance_type=machine.instance_type,
        volume_size=machine.volume_size,
        engine=str(job.engine),
        precision=str(job.precision),
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
    for place in (job.model, *(lora.place for lora in listed_loras(job.lora))):
        if place.startswith(HUB):
            _check_hub(pin, *hub_parts(place), token)
        elif place.startswith(S3):
            _check_object(session, place)


def check_weights(session: boto3.Session, plan: Plan) -> Check:
    """Whether the model's weights may be fetched, and under which licence."""
    model = find_model(plan.job.model)
    found = f"{plan.job.model}: {model.licence}"
    try:
        check_model(session, plan.job, plan.machine)
    except CommandError as error:
        return Check("model", "problem", f"{found}; {error}", blocks=True)
    return Check("model", "ok", f"{found}; {model.page or 'nothing to download'}")


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


def _check_hub(pin: Callable[..., object], repository: str, revision: str, path: str, token: str | None) -> None:
    try:
        pin(repository=repository, revision=revision, path=path, token=token, manner=SOON)
    except UnreachableError as error:
        logger.info("%s", error)
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
