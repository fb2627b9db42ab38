"""What a person asks of `sd batch` beside the options of the images. Bad input is refused before AWS is asked."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePath

from scripts.command_line.batching.grid import read_grid
from scripts.command_line.batching.row_format import Format
from scripts.command_line.batching.rows import NO_TEXT, format_of
from scripts.command_line.batching.when import read_time
from scripts.command_line.terminal.command_error import CommandError
from stacks.facts.settings import MOST_MACHINES
from userdata.job.job import Job

STANDARD_INPUT = "-"


@dataclass(frozen=True)
class Wish:
    """The file, `-` for standard input; the cells of the grid; how, when and at which cost it is drawn.

    `add` is the batch that gets the file as another part, `sample` how many images are drawn first, `max_usd` what all
    machines together may cost, `machines` how many a person wants, None for as many as pay, `at` when the batch is
    released. `fetch_to` is the folder of the sample's images.
    """

    file: str
    form: Format
    cells: Sequence[Mapping[str, str]]
    add: str | None
    sample: int | None
    max_usd: float | None
    machines: int | None
    at: datetime | None
    yes: bool
    fetch_to: Path

    @property
    def is_standard_input(self) -> bool:
        """Whether the rows come from standard input."""
        return self.file == STANDARD_INPUT

    @property
    def title(self) -> str:
        """What the file is called in sentences."""
        return "Standard input" if self.is_standard_input else PurePath(self.file).name or self.file


def read_wish(
    file: str,
    *,
    form: Format | None,
    grid: Sequence[str],
    given: Mapping[str, str],
    add: str | None,
    sample: int | None,
    max_usd: float | None,
    machines: int | None,
    at: str | None,
    yes: bool,
    fetch_to: Path,
    now: datetime,
) -> Wish:
    """The wish that the options say. `given` are the images' options. Raises `CommandError`, for misuse."""
    cells = read_grid(grid)
    refusal = None
    if both := [name for name in cells[0] if Job.model_fields[name].alias in given]:
        refusal = f"{both[0]} is given by an option and by --grid: leave one out."
    elif broken := [name for name, value in given.items() if NO_TEXT.search(value)]:
        refusal = f"{broken[0]} is not UTF-8. Type it in a terminal with that encoding."
    elif sample is not None and (add or at):
        refusal = f"--sample and {'--add' if add else '--at'}: leave one out, because a sample begins a batch at once."
    elif add and given.get("RunId"):
        refusal = "--add and --run-id both name the batch: leave one out."
    elif sample is not None and sample < 1:
        refusal = f"--sample is {sample}, but must be a number of images from 1, for example 8."
    elif max_usd is not None and not (max_usd > 0 and math.isfinite(max_usd)):
        refusal = f"--max-usd is {max_usd:g}, but must be US dollars above 0, for example 5."
    elif machines is not None and not 1 <= machines <= MOST_MACHINES:
        refusal = (
            f"--machines is {machines}, but must be a number of machines from 1 to {MOST_MACHINES}, for example 4."
        )
    elif file == STANDARD_INPUT and not yes:
        refusal = "The rows come from standard input, so nobody can answer a question there: add --yes."
    if refusal:
        raise CommandError(f"{refusal} Nothing was queued.", exit_status=2)
    return Wish(
        file=file,
        form=form or Format.text if file == STANDARD_INPUT else format_of(file, form),
        cells=cells,
        add=add,
        sample=sample,
        max_usd=max_usd,
        machines=machines,
        at=read_time(at, now) if at else None,
        yes=yes,
        fetch_to=fetch_to,
    )
