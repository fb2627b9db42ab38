"""The document `runs/<run-id>/job.json`: a job with every default resolved."""

from __future__ import annotations

import json

from pydantic import ValidationError

from userdata.contract.outside import read_json
from userdata.job.job import Job
from userdata.job.refusal import explain
from userdata.job.seeds import DRAWN_SEED

# A job's longest texts, each character as long as JSON can spell it, are well below.
MOST_BYTES = 64 * 1024
NOT_THE_JOB = {"schema", DRAWN_SEED}


def write_job(job: Job, *, drawn_seed: int | None = None) -> bytes:
    """The document; `drawn_seed` is the seed that was drawn where the job asks for one."""
    drawn = {} if drawn_seed is None else {DRAWN_SEED: drawn_seed}
    return (json.dumps({"schema": 1, **job.model_dump(), **drawn}, indent=2, ensure_ascii=False) + "\n").encode()


def read_job(content: bytes) -> Job:
    """The job in a document. Raises `ValueError`, with a sentence for a person, for anything else."""
    if len(content) > MOST_BYTES:
        raise ValueError(f"job.json has {len(content):,} bytes, but a job has at most {MOST_BYTES:,}.")
    try:
        document = read_json(content)
    except ValueError as error:
        raise ValueError(f"job.json cannot be read: {error}.") from None
    if document.get("schema") != 1:
        raise ValueError(
            "job.json is no job of schema 1. What a later version asked for, it draws itself: deploy that."
        )
    try:
        return Job.model_validate({name: value for name, value in document.items() if name not in NOT_THE_JOB})
    except ValidationError as error:
        raise ValueError(f"job.json holds no job. {' '.join(explain(error, Job))}") from error
