"""What `shutdown`, `poweroff`, `reboot` and `halt` ask for."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

MINUTE = 60.0


@dataclass(frozen=True)
class Request:
    """What is asked of the machine, and in how many seconds from now."""

    action: Literal["power-off", "reboot", "cancel"]
    delay: float = 0.0


def parse_shutdown(arguments: list[str], now: datetime) -> Request:
    """Reads the arguments of `shutdown` as systemd's reads them.

    `now` is the local time, which a time such as 23:15 is counted from. Without a time it is one minute from now.
    Raises `ValueError` with a sentence for a person.
    """
    action: Literal["power-off", "reboot"] = "power-off"
    words: list[str] = []
    for argument in arguments:
        if argument in ("-c", "--cancel"):
            return Request("cancel")
        if argument in ("-r", "--reboot"):
            action = "reboot"
        elif argument in ("-P", "--poweroff", "-h", "-H", "--halt"):
            action = "power-off"
        elif argument in ("-k", "--no-wall", "--show") or (argument.startswith("-") and not words):
            raise ValueError(f"shutdown: the option {argument} is not emulated; -P, -h, -H, -r and -c are")
        else:
            words.append(argument)
    return Request(action, _delay(words[0] if words else "+1", now))


def parse_power_command(name: str, arguments: list[str]) -> Request:
    """Reads `poweroff`, `reboot` or `halt`, whose options only say how hard. Raises `ValueError` for other words."""
    odd = [argument for argument in arguments if not argument.startswith("-")]
    if odd:
        raise ValueError(f"{name}: {odd[0]} is not understood; {name} takes no words, only options such as -f")
    return Request("reboot" if name == "reboot" else "power-off")


def _delay(time: str, now: datetime) -> float:
    if time == "now":
        return 0.0
    if re.fullmatch(r"\+?\d{1,9}", time, re.ASCII):
        return int(time) * MINUTE
    if clock := re.fullmatch(r"(\d{1,2}):(\d{2})", time, re.ASCII):
        hour, minute = int(clock[1]), int(clock[2])
        if hour < 24 and minute < 60:
            then = now.replace(hour=hour, minute=minute, second=0, microsecond=0)
            return (then - now if then > now else then + timedelta(days=1) - now).total_seconds()
    raise ValueError(f"shutdown: {time} is not a time; write now, +MINUTES or HH:MM, for example shutdown -P +60")
