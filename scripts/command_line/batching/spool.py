"""Holds the checked images of a batch on the disk until they are cut into units, so that memory stays flat."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from scripts.command_line.batching.refusals import RowError
from userdata.batch.unit import MOST_LINE_BYTES, MOST_UNIT_IMAGES, NAME, Unit, UnitImage
from userdata.contract.layout import MOST_IMAGES
from userdata.job.image_request import ImageRequest
from userdata.job.job import Job
from userdata.job.prompt_file import LineJob

# What of a job each image of a batch has for itself, and what has no meaning in a batch: no unit shares these.
NOT_SHARED = frozenset(
    {
        "prompt",
        "negative_prompt",
        "seed",
        "n_iter",
        "n_samples",
        "n_rows",
        "skip_grid",
        "fixed_code",
        "from_file",
        "run_id",
    }
)
# What Windows takes for a device, whatever ending follows.
DEVICES = frozenset(["con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(1, 10))])
TABLES = """
CREATE TABLE groups (number INTEGER PRIMARY KEY, model TEXT, job TEXT);
CREATE TABLE images (number INTEGER PRIMARY KEY, of_group INTEGER, given TEXT, name TEXT, line INTEGER);
CREATE TABLE names (name TEXT PRIMARY KEY COLLATE NOCASE, line INTEGER) WITHOUT ROWID;
CREATE INDEX by_group ON images (of_group, number);
"""


@dataclass(frozen=True)
class Group:
    """Images that may share a unit: all is the same but their texts and their seeds. `job` has any of these."""

    number: int
    job: Job
    images: int


class Spool:
    """The images of a part of a batch, the first of which is image `first` of the batch."""

    def __init__(self, first: int = 0) -> None:
        # A file without a name, which SQLite itself deletes.
        self._file = sqlite3.connect("", isolation_level=None)
        self._file.executescript("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;" + TABLES)
        self._groups: dict[bytes, int] = {}
        self._digest = hashlib.sha256()
        self.first, self.images = first, 0

    def close(self) -> None:
        """Deletes what is held."""
        self._file.close()

    @property
    def is_full(self) -> bool:
        """Whether there are more images than a batch may have."""
        return self.first + self.images > MOST_IMAGES

    @property
    def digest(self) -> str:
        """The SHA-256 over all images in their order, in hexadecimal."""
        return self._digest.hexdigest()

    def take_name(self, name: str, line: int | None) -> None:
        """Reserves a file name, without its ending. Raises `RowError` for one that is taken, and for what is none.

        Large and small letters are the same, because they are on the disks of macOS and Windows.
        """
        if not NAME.fullmatch(name) or name.partition(".")[0].lower() in DEVICES:
            raise RowError(
                f"name is {name[:80]!r}, but must be a file name of up to 100 letters, digits, spaces and . _ ( ) + -, "
                "for example horse-7."
            )
        try:
            self._file.execute("INSERT INTO names VALUES (?, ?)", (name, line))
        except sqlite3.IntegrityError:
            [(before,)] = self._file.execute("SELECT line FROM names WHERE name = ?", (name,))
            where = f"line {before} has it" if before else "an image of the batch has it"
            raise RowError(f"name is {name!r}, but {where}. Give each image its own.") from None

    def add(self, job: Job, request: ImageRequest, name: str | None, line: int) -> None:
        """Adds the image of `request`, one of `job`'s. One more than a batch may have is only counted."""
        number = self.first + self.images
        self.images += 1
        if self.is_full:
            return
        shared = job.model_dump(mode="json", exclude=set(NOT_SHARED))
        group, text = self._group_of(shared, request)
        given: dict[str, Any] = {"prompt": job.prompt, "seed": request.seed}
        if job.negative_prompt:
            given["negative_prompt"] = job.negative_prompt
        as_text = json.dumps(given, ensure_ascii=False)
        self._digest.update(json.dumps([text, as_text, name]).encode())
        self._file.execute("INSERT INTO images VALUES (?, ?, ?, ?, ?)", (number, group, as_text, name, line))

    def _group_of(self, shared: dict[str, Any], request: ImageRequest) -> tuple[int, str]:
        text = json.dumps(shared)
        key = hashlib.sha256(json.dumps([text, sorted((request.loras or {}).items())]).encode()).digest()
        if key not in self._groups:
            self._groups[key] = len(self._groups)
            self._file.execute("INSERT INTO groups VALUES (?, ?, ?)", (self._groups[key], shared["model"], text))
        return self._groups[key], text

    def models(self) -> list[str]:
        """The models of the images, in the order in which they are drawn."""
        found = self._file.execute("SELECT model FROM groups GROUP BY model ORDER BY min(number)")
        return [model for (model,) in found]

    def groups(self) -> Iterator[Group]:
        """The groups, those of one model together, because a worker takes long to change it."""
        found = self._file.execute(
            "SELECT number, job, (SELECT count(*) FROM images WHERE of_group = groups.number) FROM groups "
            "JOIN (SELECT model, min(number) AS first FROM groups GROUP BY model) USING (model) ORDER BY first, number"
        )
        for number, job, images in found:
            # What is held was checked.
            yield Group(number, LineJob.model_construct(**json.loads(job)), images)

    def units(self, size: Callable[[Job], int], takes: Callable[[int], bool] = lambda number: True) -> Iterator[Unit]:
        """The units of the images whose numbers `takes` takes: each of one group, and of at most `size` images."""
        unit = 0
        for group in self.groups():
            job = group.job.model_dump(mode="json", exclude=set(NOT_SHARED))
            images = (image for image in self._images_of(group) if takes(image.index))
            for some in _cut(images, min(size(group.job), MOST_UNIT_IMAGES), MOST_LINE_BYTES - _length(job)):
                yield Unit(unit=unit, job=job, images=some)
                unit += 1

    def _images_of(self, group: Group) -> Iterator[UnitImage]:
        found = self._file.execute(
            "SELECT number, given, name, line FROM images WHERE of_group = ? ORDER BY number", (group.number,)
        )
        for number, given, name, line in found:
            yield UnitImage(index=number, given=json.loads(given), name=name, line=line)


def _cut(images: Iterable[UnitImage], most: int, most_bytes: int) -> Iterator[list[UnitImage]]:
    """The images in lists of at most `most`, which together are not longer than `most_bytes` as JSON."""
    some: list[UnitImage] = []
    room = most_bytes
    for image in images:
        length = _length(image.model_dump())
        if some and (len(some) == most or length > room):
            yield some
            some, room = [], most_bytes
        some.append(image)
        room -= length
    if some:
        yield some


def _length(part: dict[str, Any]) -> int:
    """The bytes of a part of a line, and of what stands around it."""
    return len(json.dumps(part, ensure_ascii=False).encode()) + 64
