"""Reads a person's file into the images of a batch, each row times the grid, and refuses it as a whole."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence

from scripts.command_line.batching.jobs import Jobs
from scripts.command_line.batching.refusals import FileError, Refusals, RowError
from scripts.command_line.batching.rows import Row
from scripts.command_line.batching.spool import Spool
from scripts.command_line.terminal.command_error import CommandError
from userdata.contract.layout import MOST_IMAGES
from userdata.job.image_request import ImageRequest, image_requests
from userdata.job.job import Job
from userdata.job.seeds import RANDOM, draw_seed, next_seed, seed_of_line

_PNG = re.compile(r"\.png$", re.IGNORECASE)


class Images:
    """Fills `spool` with the images of rows. `told` is what a person should know of the seeds.

    `seed` is that of the first image, -1 for a drawn one. `first_prompt` is that of the first row.
    """

    def __init__(self, jobs: Jobs, spool: Spool, cells: Sequence[Mapping[str, str]], seed: int) -> None:
        self._jobs, self._spool, self._cells = jobs, spool, cells
        self._drawn: int | None = None
        self.told: list[str] = []
        self.first_prompt = ""
        self._seed = self._draw() if seed == RANDOM else seed
        # A grid shows what its values change, so the images of its cells share their seeds, which count on by rows.
        self._counted = spool.first

    def read(self, rows: Callable[[Refusals], Iterable[Row]], file: str) -> None:
        """Raises `CommandError`, for misuse, with the first rows that cannot be used, and why."""
        refusals = Refusals()
        last: object = None
        try:
            for row in rows(refusals):
                try:
                    self._add(row)
                except RowError as error:
                    refusals.add(row.line, error)
                if self._spool.is_full:
                    raise FileError(f"It makes more than {MOST_IMAGES:,} images, the most that a batch may have.")
        except FileError as error:
            last = error
        refusals.raise_for(file, last)
        if not self._spool.images:
            raise CommandError(f"{file} cannot be used. There is no row in it. Write one on each line.", exit_status=2)

    def _add(self, row: Row) -> None:
        for field in (field for field in self._cells[0] if field in row.given):
            raise RowError(f"it gives {row.spelled.get(field, field)}, and so does --grid. Leave one out.")
        first = next_seed(self._seed, self._counted)
        drawn: list[tuple[Job, ImageRequest]] = []
        for cell in self._cells:
            job = self._jobs.of(row, cell, first)
            if job.seed == RANDOM:
                job = job.model_copy(update={"seed": seed_of_line(self._draw(), row.line)})
            drawn += [(job, request) for request in image_requests(job)]
            if len(drawn) > MOST_IMAGES:
                break
        self.first_prompt = self.first_prompt or drawn[0][0].prompt
        self._counted += len(drawn) // len(self._cells)
        name = None if row.name is None else _PNG.sub("", row.name)
        for number, (job, request) in enumerate(drawn, 1):
            own = name if name is None or len(drawn) == 1 else f"{name}-{number:0{len(str(len(drawn)))}}"
            if own is not None:
                self._spool.take_name(own, row.line)
            self._spool.add(job, request, own, row.line)
            if self._spool.is_full:
                return

    def _draw(self) -> int:
        if self._drawn is None:
            self._drawn = draw_seed()
            self.told.append(f"Seed is {RANDOM}: {self._drawn} is drawn, so this is another batch each time.")
        return self._drawn
