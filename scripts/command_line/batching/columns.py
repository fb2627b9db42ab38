"""The names that a column may have: those of the command line, of prompt files and of the original scripts."""

from __future__ import annotations

import difflib
import re

from scripts.command_line.batching.refusals import RowError
from userdata.job.choices import Switch
from userdata.job.job import Job
from userdata.job.prompt_file import FLAGS, OPTIONS

NAME = "name"
SCHEDULER = "scheduler"
# What holds for the whole batch, and why no row has its own.
FOR_ALL = {
    "run_id": "the name of the whole batch: give it as --run-id",
    "from_file": "a file of prompts, but a row has one prompt",
    "n_rows": "for a grid of a run's images, which a batch does not make",
    "skip_grid": "for a grid of a run's images, which a batch does not make",
}


def _plain(name: str) -> str:
    return re.sub(r"[-_ ]", "", name).lower()


_FIELDS = {
    **{_plain(str(field.alias)): name for name, field in Job.model_fields.items()},
    **{_plain(name): name for name in [*Job.model_fields, *FLAGS, NAME]},
    **{_plain(option): name for option, name in OPTIONS.items()},
}
# As a person reads them.
_SPELLED = [NAME, *OPTIONS, *FLAGS, *(name for name in Job.model_fields if name not in FOR_ALL)]
SWITCHES = [name for name, field in Job.model_fields.items() if field.annotation is Switch]
_TRUTH = {"true": "on", "false": "off"}


def field_of(column: str) -> str:
    """The field of the job that a column gives, or `name`. Raises `RowError`, with the nearest right name."""
    field = _FIELDS.get(_plain(column))
    if field in FOR_ALL:
        raise RowError(f"{column[:80]!r} is {FOR_ALL[field]}.")
    if field is None:
        near = difflib.get_close_matches(_plain(column), {_plain(name): name for name in _SPELLED}, n=1)
        meant = next((name for name in _SPELLED if near == [_plain(name)]), None)
        more = f"the nearest is {meant}" if meant else f"there are {', '.join(dict.fromkeys(_SPELLED))}"
        raise RowError(f"{column[:80]!r} is no option of an image; {more}.")
    return field


def fields_of(columns: list[str]) -> dict[str, str]:
    """The columns by the fields that they give. Raises `RowError` for two that give the same."""
    found: dict[str, str] = {}
    for column in columns:
        field = field_of(column)
        if field in found:
            raise RowError(f"{found[field][:80]!r} and {column[:80]!r} give the same. Keep one.")
        found[field] = column
    return found


def as_given(values: dict[str, str | int | float | bool]) -> dict[str, str | int | float]:
    """`values` by the job's fields, with the flags of the original scripts as what they mean: a sampler.

    Raises `RowError` for a flag beside another sampler, and for one that is neither true nor false.
    """
    given: dict[str, str | int | float] = {}
    for field, value in values.items():
        truth = _TRUTH.get(str(value).lower())
        if field not in FLAGS:
            given[field] = truth if truth and field in SWITCHES else value
        elif truth is None:
            raise RowError(f"{field} is {value!r}, but must be true or false.")
    for flag in (flag for flag in FLAGS if _TRUTH.get(str(values.get(flag)).lower()) == "on"):
        if "sampler" in given:
            raise RowError(f"{flag} gives a second sampler. Keep one.")
        given["sampler"] = FLAGS[flag]
    return given
