"""What a person would take: `--types`, or `--any` with `--at-most`. Bad input is refused before AWS is asked."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

import typer

from scripts.command_line.terminal.command_error import CommandError
from stacks.facts.instance_types import INSTANCE_TYPES

Types = Annotated[
    str | None,
    typer.Option(
        metavar="TYPE,TYPE", help="Try these instance types in every zone, from the cheapest, until AWS has one."
    ),
]
EveryType = Annotated[bool, typer.Option("--any", help="Try every type that fits the model, up to --at-most.")]
AtMost = Annotated[
    float | None, typer.Option(metavar="USD", help="The most that an hour may cost, with --types or --any.")
]
Yes = Annotated[
    bool, typer.Option("--yes", "-y", help="Do not ask before a run is cut off, or an instance is replaced.")
]


@dataclass(frozen=True)
class Wish:
    """The types, none for every type; US dollars an hour at most, None for any price."""

    types: tuple[str, ...]
    at_most: float | None


def read_wish(types: str | None, every: bool, at_most: float | None, *, given: Mapping[str, str]) -> Wish | None:
    """The wish that the options say, None without one. `given` are the parameters that were typed.

    Raises `CommandError`, for misuse, with a sentence.
    """
    names = tuple(dict.fromkeys(name.strip().lower() for name in (types or "").split(",") if name.strip()))
    unknown = [name for name in names if name not in INSTANCE_TYPES]
    if types is not None and every:
        refusal = "--types and --any: leave one out, because --any means every type that fits the model."
    elif types is not None and "InstanceType" in given:
        refusal = "--types and --instance-type both name the type: leave one out."
    elif every and "InstanceType" in given:
        refusal = "--any and --instance-type: leave one out, because --any means every type that fits the model."
    elif types is not None and (unknown or not names):
        refusal = (
            f"--types has {', '.join(unknown) or 'no name'}, but must be GPU types that the image supports, with "
            "commas between them, for example g6.xlarge,g5.xlarge,g4dn.xlarge."
        )
    elif at_most is not None and types is None and not every:
        refusal = "--at-most is for --types and --any: add one of them."
    elif at_most is not None and not (at_most > 0 and math.isfinite(at_most)):
        refusal = f"--at-most is {at_most:g}, but must be US dollars an hour above 0, for example 1.20."
    elif every and at_most is None:
        refusal = (
            "--any needs --at-most, because the dearest type costs more than $100 an hour: for example --at-most 1.20."
        )
    else:
        return Wish(names, at_most) if names or every else None
    raise CommandError(refusal, exit_status=2)
