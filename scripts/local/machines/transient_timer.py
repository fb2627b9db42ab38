"""What `systemd-run` asks for, as far as a timer that runs one command is concerned."""

from __future__ import annotations

import re
from dataclasses import dataclass

from scripts.local.machines.unit_file import parse_seconds

PASSED_OVER = ("--quiet", "-q", "--property", "--timer-property", "--collect", "-G")


@dataclass(frozen=True)
class TransientTimer:
    """A command that is run once, so many seconds from now, by a unit of that name."""

    unit: str
    delay: float
    command: list[str]


def parse_systemd_run(arguments: list[str]) -> TransientTimer:
    """Reads the arguments. Raises `ValueError` with a sentence for a person for those that are not emulated."""
    unit, delay = "", None
    words = list(arguments)
    while words and words[0].startswith("-"):
        option, _, value = words.pop(0).partition("=")
        if option == "--unit":
            unit = value
        elif option == "--on-active":
            delay = parse_seconds(value)
        elif option not in PASSED_OVER:
            raise ValueError(f"systemd-run: the option {option} is not emulated; --unit= and --on-active= are")
    if not re.fullmatch(r"[A-Za-z0-9:_.\\-]+", unit) or delay is None or not words:
        raise ValueError("systemd-run: only timers are emulated: systemd-run --unit=NAME --on-active=TIME COMMAND")
    return TransientTimer(unit.removesuffix(".timer"), delay, words)
