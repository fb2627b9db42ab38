"""What a run is drawn from, read and checked before the model is loaded."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from userdata.contract.image_size import rounded_in_words, takes_size_of_image
from userdata.contract.layout import RunKeys
from userdata.job.image_request import ImageRequest, image_requests, wants_drawn_seed
from userdata.job.init_mask import told_of, with_mask
from userdata.job.initial_image import FORMATS_IN_WORDS, InitialImage, read_image, size_from
from userdata.job.job import Job
from userdata.job.prompt_file import PromptFileError, PromptLine, read_prompt_file
from userdata.job.refusal import explain
from userdata.job.run_error import RunError
from userdata.job.seeds import draw_seed, drawn_seed_in
from userdata.worker.bucket.bucket import Bucket
from userdata.worker.bucket.passing_errors import AWS_ERRORS

logger = logging.getLogger(__name__)

IMAGE_RULE = f"the key of a {FORMATS_IN_WORDS} image in the results bucket, for example inputs/horse.png"


@dataclass(frozen=True)
class RunRequest:
    """A run that can be drawn: its job with every default resolved, its images, and the image that they start from.

    The latter has the job's mask, if there is one.
    `drawn_seed` is the seed that was drawn, where the job or a line of its prompt file leaves that to chance.
    """

    job: Job
    images: list[ImageRequest]
    initial_image: InitialImage | None
    drawn_seed: int | None = None


def read_run_request(bucket: Bucket, parameters: Mapping[str, str], *, run_id: str) -> RunRequest:
    """Reads the job of the run `run_id` in `parameters`, and its initial image and prompt file from `bucket`.

    Raises `RunError`, with a sentence for a person, for anything that breaks a rule.
    """
    job = read_job(parameters)
    for sentence in rounded_in_words(parameters):
        logger.info("%s", sentence)
    initial_image = fetch_initial_image(bucket, job.init_img) if job.from_image else None
    if initial_image and takes_size_of_image(parameters):
        width, height = size_from(initial_image.image, job.init_img)
        logger.info(
            "The images are %d × %d, from the initial image's %d × %d", width, height, *initial_image.image.size
        )
        job = read_job({**job.model_dump(by_alias=True), "Height": height, "Width": width})
    lines = _fetch_prompt_file(bucket, job) if job.from_file else []
    drawn = _drawn_seed(bucket, run_id) if wants_drawn_seed(job, lines) else None
    images = image_requests(job, lines, drawn_seed=drawn)
    return RunRequest(job, images, masked(bucket, job, initial_image, images), drawn)


def _drawn_seed(bucket: Bucket, run_id: str) -> int:
    """The seed that an earlier attempt at the run has drawn, or else a new one.

    By the run's own name: that of its parameters is another once the edges of an initial image stand in them.
    """
    drawn = drawn_seed_in(bucket.get(RunKeys(run_id).job))
    if drawn is None:
        drawn = draw_seed()
        logger.info("A Seed is -1: %d is drawn", drawn)
    return drawn


def read_job(parameters: Mapping[str, Any]) -> Job:
    """The job in `parameters`, which hold the machine's too. Raises `RunError`."""
    names = {str(field.alias) for field in Job.model_fields.values()}
    try:
        return Job.model_validate({name: value for name, value in parameters.items() if name in names})
    except ValidationError as error:
        raise RunError(" ".join(explain(error, Job))) from error


def masked(
    bucket: Bucket, job: Job, initial_image: InitialImage | None, images: Iterable[ImageRequest]
) -> InitialImage | None:
    """`initial_image` with the mask of `job`, if there is one, for `images`. Raises `RunError`."""
    if not job.init_mask or initial_image is None:
        return initial_image
    mask = fetch_initial_image(bucket, job.init_mask, "InitMask")
    try:
        return with_mask(initial_image, mask, images)
    except ValueError as error:
        raise RunError(f"InitMask is {job.init_mask!r}, but {error}.") from error


def fetch_initial_image(bucket: Bucket, key: str, parameter: str = "InitImage") -> InitialImage:
    """The image at `key` in `bucket`, which `parameter` names: InitImage or InitMask.

    Raises `RunError` when there is no such object, or when it is no image.
    """
    try:
        content = bucket.get(key)
    except AWS_ERRORS as error:
        raise RunError(
            f"{parameter} is {key!r}, but must be {IMAGE_RULE}; the bucket {bucket.name} answers: {error}."
        ) from error
    if content is None:
        raise RunError(
            f"{parameter} is {key!r}, but must be {IMAGE_RULE}; the bucket {bucket.name} has no such object, "
            f"so upload it first: `aws s3 cp FILE 's3://{bucket.name}/{key}'`."
        )
    try:
        image = read_image(content)
    except ValueError as error:
        raise RunError(
            f"{parameter} is {key!r}, but must be {IMAGE_RULE}; this object of {len(content):,} bytes cannot be "
            f"read as one ({error})."
        ) from error
    for sentence in told_of(image, parameter):
        logger.info("%s", sentence)
    return image


def _fetch_prompt_file(bucket: Bucket, job: Job) -> list[PromptLine]:
    try:
        content = bucket.get(job.from_file)
    except AWS_ERRORS as error:
        raise RunError(
            f"PromptFile is {job.from_file!r}, but the bucket {bucket.name} answers: {error}. Upload it there."
        ) from error
    if content is None:
        raise RunError(
            f"PromptFile is {job.from_file!r}, but the bucket {bucket.name} has no such object. Upload it first: "
            f"`aws s3 cp FILE 's3://{bucket.name}/{job.from_file}'`."
        )
    try:
        return read_prompt_file(content, job)
    except PromptFileError as error:
        raise RunError(f"The prompt file {job.from_file} cannot be used. {error}") from error
