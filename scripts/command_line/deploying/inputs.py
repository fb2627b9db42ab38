"""The inputs of a job, an initial image or a prompt file: finds, checks and uploads them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import boto3

from scripts.command_line.account.deployment import RETRIES, Deployment
from scripts.command_line.account.objects import read
from scripts.command_line.account.plan import Plan
from scripts.command_line.terminal.command_error import CommandError, aws_errors_in_words
from userdata.contract.image_size import takes_size_of_image
from userdata.contract.layout import INPUTS
from userdata.job.initial_image import read_image, size_from
from userdata.job.job import Job
from userdata.job.prompt_file import PromptFileError, read_prompt_file
from userdata.job.run_error import RunError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

LONGEST_STEM = 80
# The parameters that name an input, each with an example of a key.
EXAMPLES = {"InitImage": f"{INPUTS}horse.png", "PromptFile": f"{INPUTS}prompts.txt"}


@dataclass(frozen=True)
class Input:
    """A file of this machine, or an object of the results bucket: what a person typed, and its content.

    `key` is the object's; a file has the key that it will be uploaded to, and `is_file` is set.
    """

    given: str
    content: bytes
    key: str
    is_file: bool


def find_inputs(session: boto3.Session, deployment: Deployment | None, given: Mapping[str, str]) -> dict[str, Input]:
    """The inputs that `given` names, by the parameters that name them. Raises `CommandError` for a missing one."""
    return {name: _find(session, deployment, name, given[name]) for name in EXAMPLES if given.get(name)}


def _find(session: boto3.Session, deployment: Deployment | None, parameter: str, given: str) -> Input:
    """A file of this machine goes before an object of the same name."""
    file = Path(given)
    if deployment is None:
        there = "no results bucket yet to hold it" if file.is_file() else "no such file here, and no results bucket yet"
        raise CommandError(
            f"{parameter} is {given!r}, but must be a file here or in the results bucket: there is {there}. Deploy "
            "once without it; then give it again."
        )
    if file.is_file():
        content = file.read_bytes()
        return Input(given, content, _key_for(file, content), is_file=True)
    found = read(session.client("s3", config=RETRIES), deployment.bucket, given)
    if found is None:
        raise CommandError(
            f"{parameter} is {given!r}, but must be a file here or the key of an object in {deployment.bucket}, "
            f"for example {EXAMPLES[parameter]}."
        )
    return Input(given, found, given, is_file=False)


def _key_for(file: Path, content: bytes) -> str:
    """The key has a part of the content's SHA-256, so that another file of the same name is another run.

    A run that was made from this file can then be made again.
    """
    stem = re.sub(r"[^A-Za-z0-9._-]+", "-", file.stem).strip("-.")[:LONGEST_STEM] or "input"
    return f"{INPUTS}{stem}-{hashlib.sha256(content).hexdigest()[:8]}{file.suffix}"


def check_inputs(inputs: Mapping[str, Input], plan: Plan) -> None:
    """Raises `CommandError` for an initial image that cannot be read or is too large, and for a broken prompt file."""
    if "InitImage" in inputs:
        _check_initial_image(inputs["InitImage"], own_size=takes_size_of_image(plan.parameters))
    if "PromptFile" in inputs:
        _count_prompts(inputs["PromptFile"].given, inputs["PromptFile"].content, plan.job)


def _check_initial_image(found: Input, *, own_size: bool) -> None:
    try:
        image = read_image(found.content)
    except ValueError as error:
        raise CommandError(
            f"InitImage is {found.given!r}, but must be a PNG, JPEG or WebP image; this file cannot be read as one "
            f"({error}). Convert it, for example to horse.png."
        ) from error
    if own_size:
        try:
            size_from(image.image, found.given)
        except RunError as error:
            raise CommandError(str(error)) from error


def count_prompts(session: boto3.Session, deployment: Deployment | None, given: str, job: Job) -> int:
    """How many prompts the prompt file `given` has for `job`; without a deployment, the file must lie here.

    Raises `CommandError` when there is no such file, or when it cannot be used.
    """
    file = Path(given)
    content = file.read_bytes() if file.is_file() else _find(session, deployment, "PromptFile", given).content
    return _count_prompts(given, content, job)


def _count_prompts(given: str, content: bytes, job: Job) -> int:
    """Raises `CommandError` that names each line that is wrong."""
    try:
        return len(read_prompt_file(content, job))
    except PromptFileError as error:
        raise CommandError(f"The prompt file {given} cannot be used. {error}", exit_status=2) from error


def upload_inputs(session: boto3.Session, bucket: str, inputs: Mapping[str, Input]) -> None:
    """Uploads the inputs that are files of this machine. Raises `CommandError`."""
    s3: S3Client = session.client("s3", config=RETRIES)
    for found in inputs.values():
        if found.is_file:
            with aws_errors_in_words(f"upload {found.given} to {bucket}"):
                s3.put_object(Bucket=bucket, Key=found.key, Body=found.content)
