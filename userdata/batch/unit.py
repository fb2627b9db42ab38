"""A unit of a batch: a fixed batch of images, worth about a minute, which one machine draws as a whole.

The machine draws all images of a unit or none, so that each is drawn beside the same companions whenever it is drawn.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from userdata.contract.layout import MOST_IMAGES
from userdata.contract.outside import read_json
from userdata.job.choices import Engine
from userdata.job.image_request import ImageRequest, image_requests
from userdata.job.job import Job
from userdata.job.job_fields import LONGEST_PROMPT, MOST_SAMPLES
from userdata.job.prompt_file import LineJob
from userdata.job.refusal import explain

MOST_UNIT_IMAGES = 64
# Of a line of units.jsonl. Sixty-four of the longest prompts are longer, so that such a unit has fewer images.
MOST_LINE_BYTES = 256 * 1024
# What of a job each image of a unit may have for itself. All else is loaded, and the same for a whole unit.
OF_AN_IMAGE = frozenset(
    {"prompt", "negative_prompt", "H", "W", "ddim_steps", "scale", "sampler", "ddim_eta", "seed", "strength", "upscale"}
)
# File names of people on every system; the ending `.png` comes behind.
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._()+-]{0,98}[A-Za-z0-9)_+-]|[A-Za-z0-9]")


class UnitImage(BaseModel):
    """Image `index` of the batch, counted from 0: what it has for itself of the job, by the fields' names.

    `name` is the file name, without its ending, that a person gave it, and `line` its line of the person's file.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    index: Annotated[int, Field(ge=0, lt=MOST_IMAGES)]
    given: dict[str, str | int | float]
    name: Annotated[str, Field(pattern=rf"^(?:{NAME.pattern})$")] | None = None
    line: Annotated[int, Field(ge=1)] | None = None


class Unit(BaseModel):
    """Unit `unit` of its part, counted from 0. `job` holds what its images share, by the fields' names."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    unit: Annotated[int, Field(ge=0)]
    job: dict[str, Any]
    images: Annotated[list[UnitImage], Field(min_length=1, max_length=MOST_UNIT_IMAGES)]

    def to_line(self) -> bytes:
        """The line of units.jsonl."""
        return (json.dumps(self.model_dump(exclude_none=True), ensure_ascii=False) + "\n").encode()

    @classmethod
    def from_line(cls, line: bytes) -> Unit:
        """Reads what `to_line` wrote. Raises `ValueError`, with a sentence for a person, for anything else."""
        if len(line) > MOST_LINE_BYTES:
            raise ValueError(f"The unit has {len(line):,} bytes, but must have at most {MOST_LINE_BYTES:,}.")
        try:
            return cls.model_validate(read_json(line))
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            raise ValueError(f"The unit is none: {'.'.join(map(str, first['loc']))}: {first['msg']}.") from None
        except ValueError as error:
            raise ValueError(f"The unit cannot be read: {error}.") from None

    def requests(self) -> tuple[Job, list[ImageRequest]]:
        """The job that the unit's images share, and what each image is drawn from, with its index in the batch.

        The job has the first image's texts, unless they are longer than a job's, as a line's may be.

        Raises `ValueError`, with a sentence for a person, for what breaks a rule of the job.
        """
        if foreign := {name for image in self.images for name in image.given} - OF_AN_IMAGE:
            raise ValueError(f"{', '.join(sorted(foreign))} must be the same for all images of a unit.")
        if self.job.get("engine") == Engine.compvis:
            raise ValueError("Engine is compvis, but the original scripts draw a whole run from one seed, and no unit.")
        requests: list[ImageRequest] = []
        jobs = [self._job(image) for image in self.images]
        for image, job in zip(self.images, jobs, strict=True):
            [request] = image_requests(job)
            requests.append(dataclasses.replace(request, index=image.index, line=image.line))
        # A GPU draws as many at once as it has room for, whatever the job says.
        return within_a_job({**jobs[0].model_dump(), "n_samples": min(len(jobs), MOST_SAMPLES)}), requests

    def _job(self, image: UnitImage) -> Job:
        try:
            return LineJob.model_validate({**self.job, **image.given, "n_iter": 1, "n_samples": 1, "from_file": ""})
        except ValidationError as error:
            raise ValueError(f"Image {image.index}: {' '.join(explain(error, LineJob))}") from None


def within_a_job(values: Mapping[str, Any]) -> Job:
    """The job of `values`, with the default for a text that is longer than a job's, as a line's may be.

    Raises `ValueError` for other values that break a rule.
    """
    long = [name for name in ("prompt", "negative_prompt") if len(values[name]) > LONGEST_PROMPT]
    return Job.model_validate({name: value for name, value in values.items() if name not in long})
