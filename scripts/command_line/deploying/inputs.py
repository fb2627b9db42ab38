"""What a job reads beside its parameters, an initial image or a prompt file: found, checked, and uploaded."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
import botocore.exceptions

from scripts.command_line.account.deployment import RETRIES, Deployment
from scripts.command_line.terminal.command_error import CommandError, aws_errors_in_words
from userdata.contract.layout import INPUTS
from userdata.job.initial_image import InitialImage, read_image, size_from
from userdata.job.job import Job
from userdata.job.prompt_file import PromptFileError, read_prompt_file
from userdata.job.run_error import RunError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

LONGEST_STEM = 80


@dataclass(frozen=True)
class Input:
    """A file of this machine, or an object of the results bucket. `key` is None for a file."""

    given: str
    content: bytes
    key: str | None


def find_input(session: boto3.Session, deployment: Deployment | None, parameter: str, given: str) -> Input:
    """What `given` names, for the CloudFormation parameter `parameter`: a file here, else an object in the bucket.

    Raises `CommandError` when it is neither, or there is no results bucket yet.
    """
    file = Path(given)
    if deployment is None:
        there = "no results bucket yet to hold it" if file.is_file() else "no such file here, and no results bucket yet"
        raise CommandError(
            f"{parameter} is {given!r}, but must be a file here or in the results bucket: there is {there}. Deploy "
            "once without it; then give it again."
        )
    if file.is_file():
        return Input(given, file.read_bytes(), None)
    s3: S3Client = session.client("s3", config=RETRIES)
    with aws_errors_in_words(f"look for {given} in {deployment.bucket}"):
        try:
            return Input(given, s3.get_object(Bucket=deployment.bucket, Key=given)["Body"].read(), given)
        except botocore.exceptions.ClientError as error:
            if error.response["Error"]["Code"] not in ("NoSuchKey", "404"):
                raise
            raise CommandError(
                f"{parameter} is {given!r}, but must be a file here or the key of an object in {deployment.bucket}, "
                f"for example {INPUTS}{'horse.png' if parameter == 'InitImage' else 'prompts.txt'}."
            ) from error


def check_initial_image(found: Input, *, own_size: bool) -> InitialImage:
    """The initial image; `own_size` says that the images are to be as large. Raises `CommandError`."""
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
    return image


def check_prompt_file(found: Input, job: Job) -> int:
    """How many prompts the prompt file has for `job`. Raises `CommandError` that names each line that is wrong."""
    try:
        return len(read_prompt_file(found.content, job))
    except PromptFileError as error:
        raise CommandError(f"The prompt file {found.given} cannot be used. {error}", exit_status=2) from error


def count_prompts(session: boto3.Session, deployment: Deployment | None, given: str, job: Job) -> int:
    """How many prompts the prompt file `given` has for `job`; unlike a deploy's, it may lie here before any bucket.

    Raises `CommandError` when there is no such file, or when it cannot be used.
    """
    file = Path(given)
    if file.is_file():
        return check_prompt_file(Input(given, file.read_bytes(), None), job)
    return check_prompt_file(find_input(session, deployment, "PromptFile", given), job)


def upload_input(session: boto3.Session, deployment: Deployment, found: Input) -> str:
    """The key of `found` in the results bucket, where a file of this machine is uploaded to. Raises `CommandError`.

    The key has a part of the content's SHA-256: another file of the same name is another run, and a run that was made
    from this one can be made again.
    """
    if found.key is not None:
        return found.key
    file = Path(found.given)
    stem = re.sub(r"[^A-Za-z0-9._-]+", "-", file.stem).strip("-.")[:LONGEST_STEM] or "input"
    key = f"{INPUTS}{stem}-{hashlib.sha256(found.content).hexdigest()[:8]}{file.suffix}"
    s3: S3Client = session.client("s3", config=RETRIES)
    with aws_errors_in_words(f"upload {found.given} to {deployment.bucket}"):
        s3.put_object(Bucket=deployment.bucket, Key=key, Body=found.content)
    return key
