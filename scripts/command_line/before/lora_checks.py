"""Whether the job's model can be drawn with its LoRAs, read from the beginning of each file before a deploy."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import boto3

from scripts.command_line.account.deployment import RETRIES
from scripts.command_line.terminal.command_error import CommandError
from userdata.boot.fetch.hub import read_beginning
from userdata.boot.fetch.passing_error import PassingError
from userdata.boot.fetch.request import Manner, Pinned
from userdata.contract.bundle import BUNDLE
from userdata.contract.catalogue import S3, find_model
from userdata.contract.patience import Patience
from userdata.contract.safetensors_header import header_in
from userdata.job.job import Job
from userdata.job.job_fields import MODEL_NAMES
from userdata.job.run_error import RunError
from userdata.worker.bucket.passing_errors import AWS_ERRORS

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

# A person waits, so a check that gets no quick answer is left to the instance.
SOON = Manner(patience=Patience(attempts=1), stall_seconds=10)
UNREADABLE = (
    *AWS_ERRORS,
    PassingError,
    ValueError,  # a header that is none
)
logger = logging.getLogger(__name__)
# Reads so many bytes from the beginning of a file.
Beginning = Callable[[int], bytes]


def check_lora_file(file: Path, job: Job) -> None:
    """Raises `CommandError` when the LoRA `file`, of this machine, is none for the model of `job`, as a worker would.

    The model of a person's own checkpoint is not known here: then the tensors' names alone are looked at.
    """
    # Imported here, as everything below, because it takes seconds and only a job with a LoRA needs it.
    from userdata.worker.model.lora import check_lora
    from userdata.worker.model.lora_file import read_lora

    try:
        check_lora(file)
        if networks := _networks(job):
            read_lora(file, networks)
    except RunError as error:
        raise CommandError(str(error)) from error


def check_lora_beginning(title: str, job: Job, beginning: Beginning) -> None:
    """Raises `CommandError` when the names and shapes of a LoRA far away are not for the model of `job`.

    Passes where the file cannot be read from here, for the instance has rights of its own, and a file that has no
    header: its own error tells more.
    """
    import torch

    from userdata.worker.model.lora_file import check_names, layers_of

    try:
        entries, metadata = header_in(beginning)
        tensors = {name: torch.empty(entry.shape, device="meta") for name, entry in entries.items()}
    except UNREADABLE as error:
        logger.info("%s cannot be looked into from here: %s", title, error)
        return
    try:
        check_names(title, tensors)
        if networks := _networks(job):
            layers_of(title, tensors, metadata, networks)
    except RunError as error:
        raise CommandError(str(error)) from error


def beginning_of_object(session: boto3.Session, place: str) -> Beginning:
    """Reads an object of S3, `s3://bucket/key`."""
    s3: S3Client = session.client("s3", config=RETRIES)
    bucket, _, key = place.removeprefix(S3).partition("/")
    return lambda count: s3.get_object(Bucket=bucket, Key=key, Range=f"bytes=0-{count - 1}")["Body"].read()


def beginning_on_the_hub(pinned: Pinned) -> Beginning:
    """Reads a file of the hub."""
    return lambda count: read_beginning(pinned, count, SOON)


def _networks(job: Job) -> dict[str, object]:
    model = find_model(job.model)
    # A model of the bundle may be narrower than the layout of its checkpoint.
    layout = model.name if model.name in MODEL_NAMES and (BUNDLE.models / model.name).is_dir() else model.layout
    if layout is None:
        return {}
    from userdata.worker.model.empty_model import empty_networks

    return empty_networks(layout)
