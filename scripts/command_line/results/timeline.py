"""Where the time of a boot and of its run went: phases, read from the bucket, drawn as bars."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, TypeVar

from pydantic import AwareDatetime, BaseModel, Field, FiniteFloat
from rich.console import Console
from rich.table import Table

from scripts.command_line.account.objects import read_if_possible
from scripts.command_line.terminal.command_error import CommandError, aws_errors_in_words
from scripts.command_line.terminal.plain_text import cell
from userdata.contract.layout import BOOTS, RunKeys
from userdata.contract.outside import read_json

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

Record = TypeVar("Record", bound=BaseModel)
BAR = 40  # characters for the whole time


class Phase(BaseModel):
    """One phase, as the records in the bucket have it: its beginning in UTC, its length in seconds.

    `source` is `cache` where the phase took something from the cache.
    """

    phase: str
    started_at: AwareDatetime
    seconds: FiniteFloat
    source: str | None = Field(None, alias="from")

    @property
    def title(self) -> str:
        """The phase's name, with its source."""
        return f"{self.phase} (from the {self.source})" if self.source else self.phase


class _Record(BaseModel):
    phases: list[Phase]


class _BootRecord(_Record):
    started_at: AwareDatetime


@dataclass(frozen=True)
class Timeline:
    """One boot: when it began, and its phases with those of the run that followed it, in order."""

    started_at: datetime
    phases: tuple[Phase, ...]

    @property
    def seconds(self) -> float:
        """From the beginning of the boot to the end of its last phase."""
        return max((self._offset(phase) + phase.seconds for phase in self.phases), default=0.0)

    def rows(self) -> list[tuple[str, float, float, str]]:
        """Each phase: its name, its beginning in seconds after the boot's, its length in seconds, its bar."""
        return [(phase.title, self._offset(phase), phase.seconds, self._bar(phase)) for phase in self.phases]

    def _offset(self, phase: Phase) -> float:
        return max(0.0, (phase.started_at - self.started_at).total_seconds())

    def _bar(self, phase: Phase) -> str:
        scale = BAR / self.seconds if self.seconds else 0
        before = min(round(self._offset(phase) * scale), BAR - 1)
        return " " * before + "█" * max(1, min(round(phase.seconds * scale), BAR - before))


def read_timelines(s3: S3Client, bucket: str, *, instance_id: str, run_id: str) -> list[Timeline]:
    """Every boot of the instance, the oldest first; the last attempt at the run belongs to the boot before it.

    Records that cannot be read are left out. Raises `CommandError` when the bucket cannot be read.
    """
    with aws_errors_in_words(f"read the records of {instance_id} in {bucket}"):
        pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{BOOTS}{instance_id}/")
        keys = [entry["Key"] for page in pages for entry in page.get("Contents", [])]
    boots = [_record(read_if_possible(s3, bucket, key), _BootRecord) for key in keys if key.endswith(".json")]
    report = _record(read_if_possible(s3, bucket, RunKeys(run_id).report), _Record)
    ordered = sorted((boot for boot in boots if boot), key=lambda boot: boot.started_at)
    return [
        Timeline(boot.started_at, tuple(_phases(boot, following, report)))
        for boot, following in itertools.zip_longest(ordered, ordered[1:])
    ]


def show_timelines(timelines: list[Timeline], console: Console) -> None:
    """Prints a table for each boot. Raises `CommandError` when there is no boot."""
    if not timelines:
        raise CommandError(
            "No boot of this instance has been recorded yet that this version can read. Try again in a minute."
        )
    for timeline in timelines:
        title = f"Boot of {timeline.started_at:%Y-%m-%d %H:%M:%S} UTC, {timeline.seconds:.1f} s"
        table = Table("phase", "", title=title, title_justify="left")
        table.add_column("after s", justify="right")
        table.add_column("takes s", justify="right")
        for name, offset, seconds, bar in timeline.rows():
            table.add_row(cell(name), bar, f"{offset:.1f}", f"{seconds:.1f}")
        console.print(table)


def _record(content: bytes | None, kind: type[Record]) -> Record | None:
    try:
        return kind.model_validate(read_json(content)) if content else None
    except ValueError:  # ValidationError is one
        return None


def _phases(boot: _BootRecord, following: _BootRecord | None, report: _Record | None) -> list[Phase]:
    known = {phase.phase for phase in boot.phases}
    end = following.started_at if following else None
    later = [
        phase
        for phase in (report.phases if report else [])
        if phase.phase not in known and phase.started_at >= boot.started_at and (end is None or phase.started_at < end)
    ]
    return sorted([*boot.phases, *later], key=lambda phase: phase.started_at)
