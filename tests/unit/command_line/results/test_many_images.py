"""A batch of 100,000 images is looked at and fetched in memory that does not grow with it."""

from __future__ import annotations

import io
import resource
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from botocore.response import StreamingBody
from rich.console import Console

from scripts.command_line.account.runs import Run
from scripts.command_line.batches.look import Looker
from scripts.command_line.results.fetch_results import fetch_runs
from tests.unit.command_line.batches.conftest import ARN, JOB, RUN
from tests.unit.command_line.results.test_batch_results import record
from userdata.batch.documents import Batch, Part
from userdata.batch.unit import Unit, UnitImage
from userdata.contract.layout import MOST_IMAGES, RunKeys

KEYS = RunKeys(RUN)


class Bucket:
    """Answers as S3 does for a batch of `images`, of two images a unit, each with a name; and keeps none of them."""

    def __init__(self, images: int) -> None:
        self.images = images
        self.requests = 0
        self.record = record(0)
        parts = [Part(images=images, units=images // 2, bytes=images * 150)]
        self.batch = Batch(run_id=RUN, title="t", by=ARN, asked_at=datetime.now(UTC), model="m", parts=parts)

    def get_paginator(self, _: str) -> Any:
        return self

    def paginate(self, *, Bucket: str, Prefix: str) -> Iterator[dict[str, Any]]:  # noqa: N803
        self.requests += 1
        page: list[dict[str, Any]] = []
        for key in self._keys(Prefix):
            page.append({"Key": key, "Size": 4, "ETag": '"x-1"', "LastModified": datetime.now(UTC)})
            if len(page) == 1000:
                yield {"Contents": page}
                self.requests += 1
                page = []
        yield {"Contents": page}

    def _keys(self, prefix: str) -> Iterator[str]:
        if prefix == KEYS.units_done:
            yield from (KEYS.unit_done(0, unit) for unit in range(self.images // 2))
        if KEYS.samples_folder in prefix:
            for index in range(self.images):
                yield from (KEYS.image_metadata(index), KEYS.image(index))

    def get_object(self, *, Bucket: str, Key: str) -> dict[str, Any]:  # noqa: N803
        if Key == KEYS.units(0):
            lines = _Lines(self.images)
            return {"Body": StreamingBody(lines, None)}  # type: ignore[arg-type]
        body = self.batch.to_json() if Key == KEYS.batch else b"no control"
        return {"Body": io.BytesIO(body), "ContentLength": len(body), "ETag": "x"}

    def download_file(self, bucket: str, key: str, path: str, **_: Any) -> None:
        Path(path).write_bytes(self.record if key.endswith(".json") else b"PNG!")


class _Lines(io.RawIOBase):
    """The units of a batch, made as they are read."""

    def __init__(self, images: int) -> None:
        self._lines = (
            Unit(unit=n // 2, job=JOB, images=[UnitImage(index=i, given={}, name=f"cat {i:x}") for i in (n, n + 1)])
            for n in range(0, images, 2)
        )
        self._rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._rest and (unit := next(self._lines, None)):
            self._rest = unit.to_line()
        taken, self._rest = self._rest[: len(buffer)], self._rest[len(buffer) :]
        buffer[: len(taken)] = taken
        return len(taken)


def peak() -> float:
    """The most memory that this process has had so far, in MB. Unlike tracemalloc, it does not slow the work down."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def look(images: int) -> int:
    """Looks at a batch, and returns how many requests that took."""
    bucket: Any = Bucket(images)
    looker = Looker(bucket, "b", RUN)
    assert looker.look().counts.done == images // 2
    return int(bucket.requests)


def fetch(images: int, folder: Path) -> None:
    """Downloads a batch, and makes one ZIP and one CSV of it."""
    bucket: Any = Bucket(images)
    run = Run(RUN, None, batch=bucket.batch)
    fetch_runs(bucket, "b", [run], folder, Console(quiet=True), as_zip=True, as_csv=True)
    with zipfile.ZipFile(folder / f"{RUN}.zip") as archive:
        assert len(archive.namelist()) == images
    with (folder / f"{RUN}.csv").open() as file:
        assert sum(1 for _ in file) == images + 1


@pytest.mark.long
def test_a_hundred_thousand_images_take_no_more_memory_than_a_few_thousand(tmp_path: Path) -> None:
    """But for the directory of the ZIP, which its library keeps until the end: 75 MB were measured."""
    look(2000)
    before = peak()
    assert look(MOST_IMAGES) <= MOST_IMAGES // 2 // 1000 + 4
    of_look = peak() - before
    fetch(2000, tmp_path / "few")
    before = peak()
    fetch(MOST_IMAGES, tmp_path / "many")
    assert of_look < 5
    assert peak() - before < 100
