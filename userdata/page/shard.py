"""A shard: what a page says of some images of a run. A unit of a batch is a shard, and a run has a few."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from userdata.contract.layout import MOST_IMAGES
from userdata.job.job import Job
from userdata.job.parameter import is_models_own
from userdata.job.prompt_loras import loras_with
from userdata.page.script import from_script, to_script
from userdata.record.image_metadata import ImageRecord

# What one file of a page may hold, so that a page begins to draw before it has read all.
MOST_IN_SHARD = 500
# Of a job, but of no single image of it.
OF_THE_RUN = frozenset(
    {"RunId", "Iterations", "Samples", "FixedCode", "PromptFile", "Rows", "SkipGrid", "Watermark", "SafetyChecker"}
)
OF_THE_REQUEST = (
    "prompt", "negative_prompt", "H", "W", "ddim_steps", "scale", "sampler", "ddim_eta", "strength", "upscale",
)  # fmt: skip
Options = dict[Annotated[str, Field(max_length=40)], str | int | float]


class PageImage(BaseModel):
    """Image `index` of a run; `own` are its options that other images of the shard do not share.

    `seconds` is its share of its batch's time, `created_at` UTC, ISO 8601, `device` what drew it.
    """

    model_config = ConfigDict(frozen=True, defer_build=True)

    index: Annotated[int, Field(ge=0, lt=MOST_IMAGES)]
    own: Options
    seconds: float
    created_at: str
    device: str = ""
    flagged: bool | None = None


class Shard(BaseModel):
    """Images of one folder of a run; `common` are the options that all of them have, by the parameters' names."""

    model_config = ConfigDict(frozen=True, defer_build=True)

    schema_: Literal[1] = Field(1, alias="schema")
    folder: Literal["txt2img-samples", "img2img-samples"]
    common: Options
    images: Annotated[list[PageImage], Field(max_length=MOST_IN_SHARD)]

    def to_script(self) -> bytes:
        """The file that a page loads."""
        return to_script("add", self.model_dump(by_alias=True))

    @classmethod
    def from_script(cls, content: bytes) -> Shard:
        """Reads what `to_script` wrote. Raises `ValueError` for anything else."""
        return cls.model_validate(from_script("add", content))


def make_shards(records: Sequence[ImageRecord]) -> Iterator[Shard]:
    """The images of `records`, which are of one run, in their order."""
    for begin in range(0, len(records), MOST_IN_SHARD):
        yield _make_shard(records[begin : begin + MOST_IN_SHARD])


def _make_shard(records: Sequence[ImageRecord]) -> Shard:
    every = [options_of(record) for record in records]
    common = {name: value for name, value in every[0].items() if all(one.get(name) == value for one in every)}
    return Shard(
        folder="img2img-samples" if records[0].job.get("init_img") else "txt2img-samples",
        common=common,
        images=[
            PageImage(
                index=record.index,
                own={name: value for name, value in options.items() if name not in common},
                seconds=record.seconds,
                created_at=record.created_at,
                device=record.drawn_with.device if record.drawn_with else "",
                flagged=record.flagged,
            )
            for record, options in zip(records, every, strict=True)
        ],
    )


def options_of(record: ImageRecord) -> dict[str, str | int | float]:
    """What the image was drawn from, by the parameters' names, as `sd generate` takes it to draw this image alone.

    An option that has its default is left out, unless the default is the model's own.
    """
    values: dict[str, Any] = {**record.job, "seed": record.seed}
    # An image of an earlier version, and a record that somebody has spoilt, have none: the job is what is known.
    if request := next((one for one in record.batch if one.index == record.index), None):
        values |= {name: getattr(request, name) for name in OF_THE_REQUEST}
        with suppress(ValueError):
            values["lora"] = loras_with(str(record.job.get("lora", "")), request.loras)
    if record.checkpoint:
        values["model"] = record.checkpoint
    always = {"prompt", "model", "seed"}
    return {
        str(field.alias): values[name]
        for name, field in Job.model_fields.items()
        if field.alias not in OF_THE_RUN
        and isinstance(values.get(name), str | int | float)
        and (name in always or is_models_own(field) or values[name] != field.default)
    }
