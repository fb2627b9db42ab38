"""The inputs of a job, an initial image, a prompt file or files of the model: finds, checks and uploads them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import boto3

from scripts.command_line.account.deployment import RETRIES
from scripts.command_line.account.objects import read
from scripts.command_line.account.plan import Plan
from scripts.command_line.terminal.command_error import CommandError, aws_errors_in_words
from userdata.contract.catalogue import HUB_PLACE, S3
from userdata.contract.image_size import takes_size_of_image
from userdata.contract.layout import INPUTS
from userdata.contract.lora_list import key_stem
from userdata.job.initial_image import read_image, size_from
from userdata.job.job import Job
from userdata.job.prompt_file import PromptFileError, read_prompt_file
from userdata.job.run_error import RunError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

LONGEST_STEM = 80
# The parameters that name files of the model, each with how long the stem of an upload's key may be: all that are
# listed must fit into the parameter.
MODEL_FILES = {"Lora": 36, "Vae": 60, "Embeddings": 20}
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


def find_inputs(session: boto3.Session, bucket: str | None, given: Mapping[str, str]) -> dict[str, Input]:
    """The inputs that `given` names, by the parameters that name them. Raises `CommandError` for a missing one.

    `bucket` is the results bucket, None where there is none yet.
    """
    return {name: _find(session, bucket, name, given[name]) for name in EXAMPLES if given.get(name)}


def _find(session: boto3.Session, bucket: str | None, parameter: str, given: str) -> Input:
    """A file of this machine goes before an object of the same name."""
    if file := file_here(given):
        content = _content(file)
        return Input(given, content, _key_for(file, content, LONGEST_STEM), is_file=True)
    if bucket is None:
        raise CommandError(
            f"{parameter} is {given!r}, but must be a file here, because there is no results bucket yet: there is no "
            "such file here."
        )
    found = read(session.client("s3", config=RETRIES), bucket, given)
    if found is None:
        raise CommandError(
            f"{parameter} is {given!r}, but must be a file here or the key of an object in {bucket}, for example "
            f"{EXAMPLES[parameter]}."
        )
    return Input(given, found, given, is_file=False)


def find_model_files(given: Mapping[str, str]) -> tuple[dict[str, str], dict[str, Path]]:
    """`given` with a key in the place of each file of this machine that its `MODEL_FILES` name, and these files.

    The files are by their keys. A file goes before an object of the same name. Raises `CommandError` for what is
    neither a file nor a place.
    """
    named, uploads = dict(given), {}
    for parameter in MODEL_FILES:
        if parameter in given:
            named[parameter], files = _files_in(parameter, given[parameter])
            uploads.update(files)
    return named, uploads


def _files_in(parameter: str, text: str) -> tuple[str, dict[str, Path]]:
    listed, files = [], {}
    for one in [text] if file_here(text) else filter(None, (part.strip() for part in text.split(","))):
        place, colon, weight = one.rpartition(":")
        place, weight = (one, "") if file_here(one) else (place, colon + weight)
        if file := file_here(place):
            key = _key_for(file, _content(file), MODEL_FILES[parameter])
            files[key] = file
            one = key + weight
        elif not one.startswith((HUB_PLACE, S3, INPUTS)):
            raise CommandError(
                f"{parameter} is {one!r}, but there is no such file here. A file elsewhere is hf:owner/name/file, "
                "s3://bucket/key or inputs/key, with its weight behind a colon."
            )
        elif strange := re.search(r"[^A-Za-z0-9_./+=@:-]", one):
            raise CommandError(
                f"{parameter} is {one!r}, but the name of a file elsewhere cannot have {strange[0]!r}. Rename the file "
                "there, or give a file of this machine, whose name may have any characters."
            )
        listed.append(one)
    return ",".join(listed) if files else text, files


def file_here(given: str) -> Path | None:
    """The file of this machine that `given` names; None for any other text."""
    try:
        return Path(given) if given and Path(given).is_file() else None
    except (OSError, ValueError):
        return None  # longer than any path, or with a NUL


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise CommandError(f"{file} cannot be read: {error.strerror}. Name another file, or mend that one.") from error


def _key_for(file: Path, content: bytes, longest_stem: int) -> str:
    """The key has a part of the content's SHA-256, so that another file of the same name is another run.

    A run that was made from this file can then be made again.
    """
    stem = key_stem(file.stem)[:longest_stem] or "input"
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


def count_prompts(session: boto3.Session, bucket: str | None, given: str, job: Job) -> int:
    """How many prompts the prompt file `given` has for `job`; without a results bucket, the file must lie here.

    Raises `CommandError` when there is no such file, or when it cannot be used.
    """
    return _count_prompts(given, _find(session, bucket, "PromptFile", given).content, job)


def _count_prompts(given: str, content: bytes, job: Job) -> int:
    """Raises `CommandError` that names each line that is wrong."""
    try:
        return len(read_prompt_file(content, job))
    except PromptFileError as error:
        raise CommandError(f"The prompt file {given} cannot be used. {error}", exit_status=2) from error


def upload_inputs(session: boto3.Session, bucket: str, inputs: Mapping[str, Input], files: Mapping[str, Path]) -> None:
    """Uploads the inputs that are files of this machine, and the model's by their keys. Raises `CommandError`."""
    s3: S3Client = session.client("s3", config=RETRIES)
    for found in inputs.values():
        if found.is_file:
            with aws_errors_in_words(f"upload {found.given} to {bucket}"):
                s3.put_object(Bucket=bucket, Key=found.key, Body=found.content)
    for key, file in files.items():
        with aws_errors_in_words(f"upload {file} to {bucket}"):
            if not _is_there(s3, bucket, key, file.stat().st_size):
                s3.upload_file(str(file), bucket, key)


def _is_there(s3: S3Client, bucket: str, key: str, size: int) -> bool:
    """Whether an earlier deploy has uploaded the same: the key has a part of the content's hash."""
    found = s3.list_objects_v2(Bucket=bucket, Prefix=key, MaxKeys=1).get("Contents", [])
    return any((one["Key"], one["Size"]) == (key, size) for one in found)
