"""The facts of a run, as its page shows them: when, on what, how long, for how much, and how busy the GPU was."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from userdata.bill.cost import Cost
from userdata.contract.layout import MOST_IMAGES
from userdata.contract.outside import read_json, read_utc
from userdata.page.script import from_script, to_script

# Points of the plot: more than it has pixels on a phone.
MOST_POINTS = 400
MOST_TEXT = 2000
Text = Annotated[str, Field(max_length=MOST_TEXT)]
ShardName = Annotated[str, Field(pattern=r"^[0-9]{1,6}(-[0-9]{6})?$")]
# The phases behind which nothing is left to do.
ENDED = ("done", "capped", "failed")


class PhaseShown(BaseModel, defer_build=True):
    """A phase of the run and its length in seconds."""

    phase: Text
    seconds: float


class ItemShown(BaseModel, defer_build=True):
    """An item of the receipt, all attempts together, in US dollars."""

    item: Text
    quantity: float
    unit: Text
    usd: float


class Facts(BaseModel):
    """What the page says of the run. `shards` are the names of its shards.

    `gpu` holds points of time in seconds since the first one, busy time in percent, and memory in MiB. `usd` is the
    run's cost in US dollars, None where no price is known, and an upper bound with `at_most`.

    A batch has no phases, but the time from its first machine's beginning to its last image (`began`, `ended`: UTC, ISO
    8601), the seconds that its machines worked, all together, and the images an hour over that time.
    """

    model_config = ConfigDict(frozen=True, defer_build=True)

    schema_: Literal[1] = Field(1, alias="schema")
    run_id: Text
    title: Text
    model: Text
    started_at: Text
    images: Annotated[int, Field(ge=0, le=MOST_IMAGES)]
    shards: list[ShardName]
    machine: Text = ""
    phases: Annotated[list[PhaseShown], Field(max_length=100)] = []
    usd: float | None = None
    at_most: bool = False
    receipt: Annotated[list[ItemShown], Field(max_length=20)] = []
    gpu: Annotated[list[tuple[float, float | None, float | None]], Field(max_length=MOST_POINTS)] = []
    versions: dict[Text, Text] = {}
    began: Text = ""
    ended: Text = ""
    work_seconds: float = 0
    images_per_hour: float | None = None

    def to_script(self) -> bytes:
        """The file that a page loads."""
        return to_script("run", self.model_dump(by_alias=True))

    @classmethod
    def from_script(cls, content: bytes) -> Facts:
        """Reads what `to_script` wrote. Raises `ValueError` for anything else."""
        return cls.model_validate(from_script("run", content))


def facts_of_run(
    run_id: str,
    *,
    title: str,
    model: str,
    started_at: str,
    images: int,
    shards: Sequence[str],
    report: bytes | None = None,
    gpu: bytes | None = None,
) -> Facts:
    """The facts, with what can be read of `report.json` and `gpu.csv`, which anybody may have written."""
    told = _read_report(report)
    cost = _cost_in(told)
    return Facts(
        run_id=run_id[:MOST_TEXT],
        title=title[:MOST_TEXT],
        model=model[:MOST_TEXT],
        started_at=started_at[:MOST_TEXT],
        images=min(images, MOST_IMAGES),
        shards=list(shards),
        machine=str(told.get("instance_type", ""))[:MOST_TEXT],
        phases=_phases_in(told),
        usd=cost.usd if cost else None,
        at_most=any(one.at_most for one in cost.attempts) if cost else False,
        receipt=_receipt(cost) if cost else [],
        gpu=gpu_points(gpu) if gpu else [],
        versions=_versions_in(told),
    )


def _read_report(report: bytes | None) -> dict[str, Any]:
    try:
        return read_json(report) if report else {}
    except ValueError:
        return {}


def _cost_in(told: dict[str, Any]) -> Cost | None:
    try:
        return Cost.model_validate(told.get("cost"))
    except ValidationError:
        return None


def _phases_in(told: dict[str, Any]) -> list[PhaseShown]:
    try:
        phases = [PhaseShown.model_validate(one) for one in told.get("phases", [])[:100]]
    except (KeyError, TypeError, ValidationError):
        return []
    return [one for one in phases if one.phase not in ENDED]


def _versions_in(told: dict[str, Any]) -> dict[str, str]:
    found = told.get("versions")
    return {str(name)[:100]: str(version)[:100] for name, version in found.items()} if isinstance(found, dict) else {}


def _receipt(cost: Cost) -> list[ItemShown]:
    shown: dict[tuple[str, str], ItemShown] = {}
    for line in (line for attempt in cost.attempts for line in attempt.lines):
        unit = line.unit[:MOST_TEXT]
        before = shown.get((line.item, unit))
        quantity, usd = (before.quantity, before.usd) if before else (0.0, 0.0)
        shown[line.item, unit] = ItemShown(
            item=line.item, quantity=round(quantity + line.quantity, 6), unit=unit, usd=round(usd + line.usd, 6)
        )
    return list(shown.values())[:20]


def gpu_points(samples: bytes) -> list[tuple[float, float | None, float | None]]:
    """The samples of `gpu.csv`, thinned out by the mean; rows that are none are passed over."""
    rows: list[tuple[float, float | None, float | None]] = []
    try:
        for row in csv.DictReader(io.StringIO(samples.decode("utf-8", "replace"))):
            try:
                at = read_utc(row["timestamp"]).timestamp()
                rows.append((at, _number(row["gpu_percent"]), _number(row["memory_used_mib"])))
            except (KeyError, TypeError, ValueError):
                continue
    except csv.Error:
        pass  # what came before stays
    if not rows:
        return []
    rows.sort(key=lambda row: row[0])
    step = -(-len(rows) // MOST_POINTS)
    return [
        (round(rows[at][0] - rows[0][0], 1), _mean(rows[at : at + step], 1), _mean(rows[at : at + step], 2))
        for at in range(0, len(rows), step)
    ]


def _number(text: str | None) -> float | None:
    return max(0.0, min(float(text), 1e9)) if text else None


def _mean(rows: Sequence[tuple[float, float | None, float | None]], column: Literal[1, 2]) -> float | None:
    values = [value for row in rows if (value := row[column]) is not None]
    return round(sum(values) / len(values), 1) if values else None
