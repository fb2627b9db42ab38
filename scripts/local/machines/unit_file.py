"""Reads the subset of systemd's service files that the emulated machine understands.

Keys that are not read here are passed over, as their effects (users, sandboxes, ordering) need a real machine.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path

MACHINE_FOLDERS = ("/opt", "/var", "/etc", "/run", "/srv")
EXECUTION_PREFIXES = "@-:+!|"
TIMEOUT_STOP = 90.0


@dataclass(frozen=True)
class Command:
    """One command line of a unit; a failure of one that `may_fail` counts for nothing."""

    words: list[str]
    may_fail: bool


@dataclass(frozen=True)
class EnvironmentFile:
    """A file of variables; one that is `optional` may be missing."""

    path: Path
    optional: bool


@dataclass
class Unit:
    """A service as its file describes it. Paths already lie below the machine's prefix; times are in seconds."""

    name: str
    start: Command | None = None
    stop_post: list[Command] = field(default_factory=list)
    working_directory: Path | None = None
    environment: dict[str, str] = field(default_factory=dict)
    environment_files: list[EnvironmentFile] = field(default_factory=list)
    state_directories: list[str] = field(default_factory=list)
    timeout_stop: float = TIMEOUT_STOP


def below_prefix(path: str, prefix: Path) -> str:
    """The path on the machine's own disk of `path`, for the folders that a machine has of its own."""
    if any(path == folder or path.startswith(folder + "/") for folder in MACHINE_FOLDERS):
        return str(prefix / path.lstrip("/"))
    return path


def parse_unit(name: str, text: str, prefix: Path) -> Unit:
    """Reads a service file. Raises `ValueError`, naming the line, for one that systemd would refuse."""
    unit = Unit(name)
    section = ""
    for number, line in _logical_lines(text):
        if line.startswith("[") and line.endswith("]"):
            section = line[1:-1]
            continue
        key, equals, value = line.partition("=")
        if not equals:
            raise ValueError(f"{name}, line {number}: {line!r} is not Key=value")
        if section == "Service":
            try:
                _apply(unit, key.strip(), value.strip(), prefix)
            except ValueError as error:
                raise ValueError(f"{name}, line {number}: {error}") from error
    if unit.start is None:
        raise ValueError(f"{name}: no ExecStart= in [Service]")
    return unit


def parse_environment_file(text: str) -> dict[str, str]:
    """Reads `NAME=value` lines as systemd.exec(5) says: comments with # or ;, optional quotes around the value."""
    variables = {}
    for _, line in _logical_lines(text):
        name, equals, value = line.partition("=")
        value = value.strip()
        if equals and re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name.strip()):
            quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "\"'"
            variables[name.strip()] = "".join(shlex.split(value)) if quoted else value
    return variables


def expand(words: list[str], environment: dict[str, str]) -> list[str]:
    """Replaces `$NAME` (a word of its own, split) and `${NAME}` (in place) by the unit's variables, `$$` by `$`."""
    expanded: list[str] = []
    for word in words:
        if whole := re.fullmatch(r"\$([A-Za-z_][A-Za-z0-9_]*)", word):
            expanded += environment.get(whole[1], "").split()
        else:
            expanded.append(re.sub(r"\$\$|\$\{([A-Za-z_][A-Za-z0-9_]*)\}", lambda m: _value(m, environment), word))
    return expanded


def _value(match: re.Match[str], environment: dict[str, str]) -> str:
    return "$" if match[0] == "$$" else environment.get(match[1], "")


def _logical_lines(text: str) -> list[tuple[int, str]]:
    lines: list[tuple[int, str]] = []
    pending, pending_number = "", 0
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.strip()
        if line.startswith(("#", ";")) or (not line and not pending):
            continue
        pending_number = pending_number or number
        if line.endswith("\\"):
            pending += line[:-1] + " "
            continue
        lines.append((pending_number, pending + line))
        pending, pending_number = "", 0
    if pending:
        lines.append((pending_number, pending.strip()))
    return lines


def _apply(unit: Unit, key: str, value: str, prefix: Path) -> None:
    if key == "ExecStart":
        unit.start = _command(value, prefix) if value else None
    elif key == "ExecStopPost":
        unit.stop_post = [*unit.stop_post, _command(value, prefix)] if value else []
    elif key == "WorkingDirectory":
        unit.working_directory = Path(below_prefix(value.lstrip("-"), prefix))
    elif key == "Environment":
        unit.environment.update(_assignments(value))
    elif key == "EnvironmentFile":
        path = Path(below_prefix(value.removeprefix("-"), prefix))
        unit.environment_files.append(EnvironmentFile(path, optional=value.startswith("-")))
    elif key == "StateDirectory":
        unit.state_directories = value.split()
    elif key == "TimeoutStopSec":
        unit.timeout_stop = parse_seconds(value)


def _command(value: str, prefix: Path) -> Command:
    bare = value.lstrip(EXECUTION_PREFIXES)
    words = shlex.split(bare)
    if not words:
        raise ValueError(f"{value!r} names no program")
    marks = value[: len(value) - len(bare)]
    return Command([below_prefix(word, prefix) for word in words], may_fail="-" in marks)


def _assignments(value: str) -> dict[str, str]:
    pairs = [word.partition("=") for word in shlex.split(value)]
    for name, equals, _ in pairs:
        if not equals:
            raise ValueError(f"{name!r} is not NAME=value")
    return {name: text for name, _, text in pairs}


def parse_seconds(value: str) -> float:
    """The seconds of a time span such as `90`, `1min 30s` or `12h`. Raises `ValueError` for anything else."""
    units = {"": 1.0, "s": 1.0, "sec": 1.0, "min": 60.0, "m": 60.0, "ms": 0.001, "h": 3600.0}
    if value == "infinity":
        return float("inf")
    parts = re.findall(r"(\d+(?:\.\d+)?)\s*([a-z]*)", value)
    if not parts or any(unit not in units for _, unit in parts):
        raise ValueError(f"{value!r} is not a time span")
    return sum(float(number) * units[unit] for number, unit in parts)
