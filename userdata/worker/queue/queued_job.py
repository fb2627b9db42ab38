"""Reads the job of a run that a message points at."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from userdata.contract.image_size import EDGES
from userdata.contract.layout import RunKeys
from userdata.contract.run_name import run_name
from userdata.contract.status import read_status
from userdata.job.job import Job
from userdata.job.job_document import read_job
from userdata.job.run_error import RunError
from userdata.worker.bucket.bucket import Bucket


def parameters_of(bucket: Bucket, run_id: str, deployed: Mapping[str, str]) -> dict[str, str]:
    """The parameters of the run `run_id`: those of its job, and of the `deployed` ones the machine's.

    Raises `RunError` when there is no such job, or when it is another run's, and botocore's errors when the bucket
    cannot be read.
    """
    keys = RunKeys(run_id)
    content = bucket.get(keys.job)
    if content is None:
        raise RunError(f"There is no {keys.job} in the bucket {bucket.name}, so nothing says what to draw. Ask again.")
    try:
        job = read_job(content)
    except ValueError as error:
        raise RunError(f"{keys.job} cannot be drawn from. {error}") from error
    wanted = {name: str(value) for name, value in job.model_dump(mode="json", by_alias=True).items()}
    if run_id not in _names(wanted):
        raise RunError(
            f"{keys.job} holds the job of the run {run_name(wanted)}. Delete it, and ask for the images again."
        )
    return {**{name: value for name, value in deployed.items() if name not in _OF_THE_JOB}, **wanted}


def failure_of(bucket: Bucket, run_id: str) -> str:
    """Why the run has failed, as its status tells. Raises botocore's errors."""
    try:
        status = bucket.get(RunKeys(run_id).status) or b""
        return str(read_status(status)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return "The run failed twice; its log.txt may say why."


def _names(wanted: Mapping[str, str]) -> Iterator[str]:
    """The names that a run of this job can have.

    Once a run has begun, its job has the edges of its initial image, which are no part of its name if they were left
    open. Rejected: to take the job of any run that has begun, because a refusal leaves a status too.
    """
    yield run_name(wanted)
    if wanted["InitImage"]:
        yield run_name({**wanted, **dict.fromkeys(EDGES, "")})


_OF_THE_JOB = {str(field.alias) for field in Job.model_fields.values()}
