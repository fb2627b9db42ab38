"""The documents of a batch in the bucket, beside its units: one writer for each, so that no two machines take turns.

| key, below `runs/<run-id>/` | document | who writes it |
| --- | --- | --- |
| `batch.json` | `Batch` | the commands, each rewriting by `If-Match` what it has read |
| `units.jsonl`, `units-1.jsonl` | lines of `Unit` | the command that plans the part, once |
| `control.json` | `Control` | the commands, and the worker that reaches the limit of dollars |
| `units/<part>-<unit>.json` | `UnitDone` | the worker that has drawn the unit, once |
| `failed/<part>-<unit>.json` | `UnitFailed` | the worker that sets the unit aside |
| `machines/<instance-id>.json` | `MachineShare` | that machine alone |
| `done.json` | `BatchEnded` | the first worker that sees that nothing is left to draw |
"""

from __future__ import annotations

import json
from typing import Annotated, Literal, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, model_validator

from userdata.contract.layout import MOST_IMAGES
from userdata.contract.outside import read_json
from userdata.contract.worker_environment import LifeCycle

SCHEMA = 1
MOST_BYTES = 256 * 1024
MOST_PARTS = 1000
Count = Annotated[int, Field(ge=0)]
Text = Annotated[str, Field(max_length=2000)]
Usd = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Document(BaseModel):
    """A document with a schema number. Times are UTC, ISO 8601."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    def to_json(self) -> bytes:
        """The document."""
        return (json.dumps({"schema": SCHEMA, **self.model_dump(mode="json")}, indent=2) + "\n").encode()

    @classmethod
    def from_json(cls, content: bytes) -> Self:
        """Reads what `to_json` wrote. Raises `ValueError`, with one sentence, for anything else."""
        found = read_json(content, most_bytes=MOST_BYTES)
        if found.pop("schema", None) != SCHEMA:
            raise ValueError(f"It is no document of schema {SCHEMA}.")
        try:
            return cls.model_validate(found)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(str(part) for part in first["loc"]) or "it"
            raise ValueError(f"{where}: {first['msg']}.") from None


class Part(BaseModel):
    """One file of units: how many images and units it holds, and its length in bytes."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    images: Annotated[int, Field(ge=1, le=MOST_IMAGES)]
    units: Annotated[int, Field(ge=1, le=MOST_IMAGES)]
    bytes: Annotated[int, Field(ge=1)]


class Batch(Document):
    """A batch: who asked for it (an ARN), from which file, and its parts, to which later ones may be added.

    `max_usd` is what all machines together may cost, None without a limit.
    """

    run_id: str
    title: Text
    by: Text
    asked_at: AwareDatetime
    model: Text
    parts: Annotated[list[Part], Field(min_length=1, max_length=MOST_PARTS)]
    max_usd: Usd | None = None

    @model_validator(mode="after")
    def _has_not_too_many_images(self) -> Self:
        if self.images > MOST_IMAGES:
            raise ValueError(f"it has {self.images:,} images, more than {MOST_IMAGES:,}")
        return self

    @property
    def images(self) -> int:
        """How many images all parts make."""
        return sum(part.images for part in self.parts)

    @property
    def units(self) -> int:
        """How many units all parts have."""
        return sum(part.units for part in self.parts)


class Control(Document):
    """Whether machines may begin further units. Without the document they may.

    `capped` says that the limit of dollars is reached; `why` is a sentence for a person, `by` an ARN or an instance.
    """

    state: Literal["go", "paused", "cancelled", "capped"]
    why: Text = ""
    by: Text
    at: AwareDatetime


class UnitDone(Document):
    """A unit that is drawn: all its images are in the bucket. `seconds` is the time from its receipt to its end."""

    instance_id: Text
    instance_type: Text
    life_cycle: LifeCycle
    ended: AwareDatetime
    images: Count
    flagged: Count
    seconds: Usd


class UnitFailed(Document):
    """A unit that failed twice, or cannot be drawn at all. `reason` is a sentence for a person.

    `at` and `bytes` are the place of its line in its part's file, from which it can be sent again.
    """

    instance_id: Text
    reason: Text
    failed_at: AwareDatetime
    at: Count
    bytes: Annotated[int, Field(ge=1)]


class MachineShare(Document):
    """What one machine has done of a batch, and what its time for it has cost, in US dollars.

    `seconds` are those that it worked on units; `usd` counts from the first unit's receipt, and, for a machine that was
    started for the batch, from its boot. `usd_per_hour` is None where no price is known.
    """

    instance_id: Text
    instance_type: Text
    life_cycle: LifeCycle
    began: AwareDatetime
    updated_at: AwareDatetime
    units: Count
    images: Count
    seconds: Usd
    usd: Usd | None
    usd_at_most: Usd | None
    usd_per_hour: Usd | None


class BatchEnded(Document):
    """That nothing is left to draw: every unit is drawn or has failed."""

    ended: AwareDatetime
    units_done: Count
    units_failed: Count
