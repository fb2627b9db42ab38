"""`--grid`: every row is drawn with each combination of some values."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Sequence
from enum import EnumType

from scripts.command_line.batching.columns import field_of
from scripts.command_line.batching.refusals import RowError
from scripts.command_line.terminal.command_error import CommandError
from userdata.contract.layout import MOST_IMAGES
from userdata.job.job import Job

EXAMPLE = "for example --grid scale=5,7.5,10 or --grid seed=1..8"
# Of these a row has one value: the first two count images, the third cannot be told apart by a machine's units.
NOT_GRIDDED = ("n_iter", "n_samples", "engine", "fixed_code")
GRIDDED = tuple(
    name
    for name, field in Job.model_fields.items()
    if name not in (*NOT_GRIDDED, "n_rows", "skip_grid")
    and (name in ("model", "vae") or field.annotation in (int, float) or isinstance(field.annotation, EnumType))
)
_RANGE = re.compile(r"(\d{1,20})\.\.(\d{1,20})")


def read_grid(options: Sequence[str]) -> list[dict[str, str]]:
    """The combinations of all `options`, by the fields' names, the last one's values in turn; one, empty, without any.

    Raises `CommandError`, for misuse, for what is no field with a list or a range of values.
    """
    values: dict[str, list[str]] = {}
    for option in options:
        name, equals, listed = option.partition("=")
        if not equals:
            raise _refusal(option, f"is no NAME=VALUES, {EXAMPLE}")
        try:
            field = field_of(name)
        except RowError as error:
            raise _refusal(option, f"cannot be: {str(error).rstrip('.')}") from None
        if field not in GRIDDED:
            raise _refusal(option, f"cannot be: a grid is for {', '.join(GRIDDED)}")
        if field in values:
            raise _refusal(option, f"gives {field} a second time: list all values in one")
        values[field] = _values(option, listed)
    if math.prod(map(len, values.values())) > MOST_IMAGES:
        raise CommandError(
            f"The grid has {math.prod(map(len, values.values())):,} combinations, but a batch has at most "
            f"{MOST_IMAGES:,} images. Give fewer values.",
            exit_status=2,
        )
    return [dict(zip(values, one, strict=True)) for one in itertools.product(*values.values())]


def _values(option: str, listed: str) -> list[str]:
    if between := _RANGE.fullmatch(listed.strip()):
        first, last = int(between[1]), int(between[2])
        if not first <= last < first + MOST_IMAGES:
            raise _refusal(option, f"must go up, by less than {MOST_IMAGES:,}")
        return [str(value) for value in range(first, last + 1)]
    found = [value.strip() for value in listed.split(",")]
    if "" in found:
        raise _refusal(option, f"has an empty value, {EXAMPLE}")
    if len(set(map(_as_number, found))) < len(found):
        raise _refusal(option, "has a value twice")
    return found


def _as_number(value: str) -> str | float:
    """7.5 and 7.50 are one value; what is no number is told with its line."""
    try:
        return float(value)
    except ValueError:
        return value


def _refusal(option: str, why: str) -> CommandError:
    return CommandError(f"--grid {option[:80]} {why}.", exit_status=2)
