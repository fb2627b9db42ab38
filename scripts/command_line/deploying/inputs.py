"""The inputs of a job, an initial image and a prompt file: finds and checks them, and uploads what is a file."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import boto3

from scripts.command_line.account.deployment import RETRIES
from scripts.command_line.account.objects import read
from scripts.command_line.account.plan import Plan
from scripts.command_line.deploying.local_files import content_of, file_here, key_for
from scripts.command_line.terminal.command_error import CommandError, aws_errors_in_words
from scripts.command_line.terminal.parameter_options import check_parameters
from userdata.contract.image_size import MOST_FILE_BYTES, takes_size_of_image
from userdata.contract.layout import INPUTS
from userdata.job import prompt_file
from userdata.job.job import Job
from userdata.job.prompt_file import PromptFileError, PromptLine, read_prompt_file
from userdata.job.prompt_notices import job_notices
from userdata.job.run_error import RunError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

    from userdata.job.initial_image import InitialImage

# The parameters that name an input, each with an example of a key, how many bytes it may have, and how long the stem of
# an upload's key may be: the key must fit into the parameter.
EXAMPLES = {"InitImage": f"{INPUTS}horse.png", "InitMask": f"{INPUTS}mask.png", "PromptFile": f"{INPUTS}prompts.txt"}
MOST_BYTES = {
    "InitImage": MOST_FILE_BYTES,
    "InitMask": MOST_FILE_BYTES,
    "PromptFile": prompt_file.MOST_BYTES,
}
LONGEST_STEM = {"InitImage": 80, "InitMask": 26, "PromptFile": 80}
IMAGES = ("InitImage", "InitMask")


@dataclass(frozen=True)
class Input:
    """A file of this machine, or an object of the results bucket: what a person typed, and its content.

    `key` is the object's; a file has the key that it will be uploaded to, and `is_file` is set. `image` is the image
    that the content of an initial image or a mask is.
    """

    given: str
    content: bytes
    key: str
    is_file: bool
    image: InitialImage | None = None


def find_inputs(
    session: boto3.Session, bucket: str | None, given: Mapping[str, str], *, files: bool = True
) -> dict[str, Input]:
    """The inputs that `given` names, by the parameters that name them. Without `files`, each is an object's key.

    `bucket` is the results bucket, None where there is none yet. Raises `CommandError` for a missing one, and for an
    initial image that cannot be read.
    """
    return {name: _find(session, bucket, name, given[name], files=files) for name in EXAMPLES if given.get(name)}


def _find(session: boto3.Session, bucket: str | None, parameter: str, given: str, *, files: bool = True) -> Input:
    """A file of this machine goes before an object of the same name."""
    file = file_here(given) if files else None
    content = content_of(file, MOST_BYTES[parameter]) if file else _object(session, bucket, parameter, given)
    image = _read_image(parameter, given, content) if parameter in IMAGES else None
    if file is None:
        return Input(given, content, given, is_file=False, image=image)
    suffixes = image.suffixes if image else (".txt",)
    suffix = file.suffix if file.suffix.lower() in suffixes else suffixes[0]
    key = key_for(file, hashlib.sha256(content).hexdigest(), LONGEST_STEM[parameter], suffix)
    return Input(given, content, key, is_file=True, image=image)


def _object(session: boto3.Session, bucket: str | None, parameter: str, given: str) -> bytes:
    if bucket is None:
        raise CommandError(
            f"{parameter} is {given!r}, but must be a file here, because there is no results bucket yet: there is no "
            "such file here.",
            exit_status=2,
        )
    found = read(session.client("s3", config=RETRIES), bucket, given, at_most=MOST_BYTES[parameter])
    if found is None:
        raise CommandError(
            f"{parameter} is {given!r}, but must be a file here or the key of an object in {bucket}, for example "
            f"{EXAMPLES[parameter]}.",
            exit_status=2,
        )
    return found


def _read_image(parameter: str, given: str, content: bytes) -> InitialImage:
    # Here and below, because Pillow takes a while to load, and most jobs start from no image.
    from userdata.job.initial_image import FORMATS_IN_WORDS, read_image

    try:
        return read_image(content)
    except ValueError as error:
        raise CommandError(
            f"{parameter} is {given!r}, but must be a {FORMATS_IN_WORDS} image; this file cannot be read as one "
            f"({error}). Convert it, for example to horse.png.",
            exit_status=2,
        ) from error


def left_out(standing: Mapping[str, str], given: Mapping[str, str]) -> dict[str, str]:
    """What a deploy of `given` undoes of the parameters `standing`: a mask, a file of prompts.

    A mask that stands was painted for the image that stands, so another image comes without it. A prompt that is typed
    is to be drawn, so the file of prompts that stands does not take its place.
    """
    belongs = {"InitMask": "InitImage", "PromptFile": "Prompt"}
    return {name: "" for name, other in belongs.items() if standing.get(name) and other in given and name not in given}


def inputs_of_deploy(
    session: boto3.Session, bucket: str | None, standing: Mapping[str, str], given: Mapping[str, str]
) -> tuple[dict[str, Input], dict[str, str], list[str]]:
    """The inputs after a deploy of `given` over the parameters `standing`, `given` with their keys, and what to tell.

    The image that stands may be given again: its mask stays. Raises what `find_inputs` raises.
    """
    undone = left_out(standing, given)
    given, told = dict(given), []
    old = {name: standing.get(name, "") for name in EXAMPLES}
    if "InitMask" in undone:
        image = find_inputs(session, bucket, {"InitImage": given["InitImage"]}).get("InitImage")
        if image is None or image.key != old["InitImage"]:
            given["InitMask"] = ""
            told.append(
                f"The mask {old['InitMask']} is left out, because it belongs to another InitImage. To use it: "
                f"`--init-mask {old['InitMask']}`."
            )
    if "PromptFile" in undone:
        given["PromptFile"] = ""
        told.append(
            f"The file of prompts {old['PromptFile']} is left out, because a prompt is given. To use it: "
            f"`--prompt-file {old['PromptFile']}`."
        )
    inputs = find_inputs(session, bucket, {**old, **given})
    return inputs, {**given, **{name: one.key for name, one in inputs.items() if one.is_file}}, told


def check_inputs(inputs: Mapping[str, Input], plan: Plan) -> list[str]:
    """What is to be told of the inputs. Raises `CommandError` for those that the worker would refuse for this plan."""
    job = plan.job
    told: list[str] = []
    if any(one.image for one in inputs.values()):
        from userdata.job.init_mask import told_of, with_mask
    if image := inputs.get("InitImage"):
        assert image.image
        told += told_of(image.image, "InitImage")
        if takes_size_of_image(plan.parameters):
            job = _job_of_size(image.given, image.image, plan)
    if prompts := inputs.get("PromptFile"):
        jobs = [line.job for line in _read_prompts(prompts.given, prompts.content, job)]
    else:
        jobs = [job]
    if mask := inputs.get("InitMask"):
        assert image and image.image and mask.image  # a job with a mask and no image breaks a rule
        told += told_of(mask.image, "InitMask")
        try:
            with_mask(image.image, mask.image, jobs)
        except ValueError as error:
            raise CommandError(f"InitMask is {mask.given!r}, but {error}.", exit_status=2) from error
    return told + job_notices(jobs)


def _job_of_size(given: str, image: InitialImage, plan: Plan) -> Job:
    """The job, which has the size of its initial image: with another size, it may break a rule."""
    from userdata.job.initial_image import size_from

    try:
        width, height = size_from(image.image, given)
    except RunError as error:
        raise CommandError(str(error), exit_status=2) from error
    return check_parameters({**plan.parameters, "Height": str(height), "Width": str(width)})[0]


def count_prompts(session: boto3.Session, bucket: str | None, given: str, job: Job) -> int:
    """How many prompts the prompt file `given` has for `job`; without a results bucket, the file must lie here.

    Raises `CommandError` when there is no such file, or when it cannot be used.
    """
    return len(_read_prompts(given, _find(session, bucket, "PromptFile", given).content, job))


def _read_prompts(given: str, content: bytes, job: Job) -> list[PromptLine]:
    """Raises `CommandError` that names each line that is wrong."""
    try:
        return read_prompt_file(content, job)
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
