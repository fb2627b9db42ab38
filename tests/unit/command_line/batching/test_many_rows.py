"""A file of the most rows that a batch may have: how long reading it takes, and that memory stays flat."""

from __future__ import annotations

import csv
import io
import resource
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any, BinaryIO, cast

import boto3
import pytest

from scripts.command_line.account.deployment import Deployment
from scripts.command_line.batching.hand_in import write_units
from scripts.command_line.batching.jobs import Jobs
from scripts.command_line.batching.read import Images
from scripts.command_line.batching.row_format import Format
from scripts.command_line.batching.rows import read_rows
from scripts.command_line.batching.spool import Spool
from stacks.parameters import GROUPS, parameters_of
from userdata.batch.unit import MOST_LINE_BYTES
from userdata.contract.layout import MOST_IMAGES

PARAMETERS = {p.name: str(p.properties["default"]) for model in GROUPS.values() for p in parameters_of(model)}


class RawFile(io.RawIOBase):
    """A CSV file of so many rows that nobody has in memory."""

    def __init__(self, rows: int) -> None:
        self._lines = self._write(rows)
        self._left = b""

    @staticmethod
    def _write(rows: int) -> Iterator[bytes]:
        yield b"prompt,name,cfg_scale,width\n"
        for row in range(rows):
            text = io.StringIO()
            words = f'"{row}" horses, (under a tree:1.2)' if row % 4 == 0 else f'"{row}" horses under a tree'
            csv.writer(text).writerow([f"{words}, oil on canvas", f"horse-{row}", 5 + row % 3, 512])
            yield text.getvalue().encode()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        line = self._left or next(self._lines, b"")
        taken, self._left = line[: len(buffer)], line[len(buffer) :]
        buffer[: len(taken)] = taken
        return len(taken)


def plan(rows: int) -> float:
    """Seconds."""
    deployment = Deployment("SdOnEc2", "CREATE_COMPLETE", PARAMETERS, {"ResultsBucket": "b", "InstanceId": "i-1"})
    jobs = Jobs(boto3.Session(region_name="us-east-1"), deployment, {})
    file = cast(BinaryIO, io.BufferedReader(cast(Any, RawFile(rows))))
    began = time.process_time()
    with closing(Spool()) as spool:
        Images(jobs, spool, [{}], 42).read(lambda refusals: read_rows(file, Format.csv, refusals), "horses.csv")
        written = write_units(spool.units(lambda job: 8))
    assert written.part.images == rows
    assert max(map(len, written.file)) < MOST_LINE_BYTES
    return time.process_time() - began


def peak() -> float:
    """The most memory that this process has had so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


@pytest.mark.long
def test_memory_does_not_grow_with_the_rows(capsys: pytest.CaptureFixture[str]) -> None:
    plan(2000)
    before = peak()
    seconds = plan(MOST_IMAGES)
    figures = f"{MOST_IMAGES:,} rows: {seconds:.0f} s of the processor, {peak() - before:.0f} MB more than 2,000 rows"
    with capsys.disabled():
        sys.stdout.write(f"\n{figures}\n")
    assert peak() < before + 40, figures
