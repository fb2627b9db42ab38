"""Reads the job of a run that a message points at."""

from __future__ import annotations

import json
from collections.abc import Mapping

from userdata.contract.layout import RunKeys
from userdata.contract.run_name import run_name
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
    # Once the run has begun, its job is as the worker wrote it, with what was left open, which is no part of its name.
    if run_name(wanted) != run_id and bucket.get(keys.status) is None:
        raise RunError(f"{keys.job} holds the job of the run {run_name(wanted)}. Ask for the images again.")
    return {**{name: value for name, value in deployed.items() if name not in _OF_THE_JOB}, **wanted}


def failure_of(bucket: Bucket, run_id: str) -> str:
    """Why the run has failed, as its status tells. Raises botocore's errors."""
    try:
        return str(json.loads(bucket.get(RunKeys(run_id).status) or b"")["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return "The run failed twice; its log.txt may say why."


_OF_THE_JOB = {str(field.alias) for field in Job.model_fields.values()}
