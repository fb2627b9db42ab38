"""Reads systemd's service files as far as the units of the product go."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path

from userdata.contract.worker_environment import DRAWING_SOCKET

MACHINE_FOLDERS = ("/opt", "/var", "/etc", "/run", "/srv")
READ = frozenset(
    {
        "Environment",
        "EnvironmentFile",
        "ExecStart",
        "ExecStopPost",
        "StateDirectory",
        "SuccessExitStatus",
        "TimeoutStopSec",
        "WorkingDirectory",
    }
)
# Their effects (users, the log's place, a limit of twenty minutes) need a real machine.
PASSED_OVER = frozenset(
    {
        *("CapabilityBoundingSet", "DynamicUser", "LockPersonality", "PrivateDevices", "ProtectClock"),
        *("ProtectControlGroups", "ProtectHome", "ProtectHostname", "ProtectKernelLogs", "ProtectKernelModules"),
        *("ProtectKernelTunables", "ProtectProc", "RestrictAddressFamilies", "RestrictNamespaces", "RestrictRealtime"),
        *("RuntimeMaxSec", "StandardError", "StandardOutput", "SystemCallArchitectures", "SystemCallErrorNumber"),
        *("SystemCallFilter", "Type", "BindReadOnlyPaths", "UMask", "User", "PrivateUsers"),
        *("DeviceAllow", "DevicePolicy"),
    }
)
# Those of units that are not started here: the drawing process is the worker's child.
OF_OTHER_UNITS = frozenset(
    {
        *("IPAddressDeny", "InaccessiblePaths", "KillSignal", "PrivateNetwork", "StandardInput"),
    }
)


@dataclass(frozen=True)
class EnvironmentFile:
    """A file of variables; one that is `optional` may be missing."""

    path: Path
    optional: bool


@dataclass
class Command:
    """A command of ExecStopPost. One that `may_fail` does not keep the next from being run, whatever becomes of it."""

    words: list[str]
    may_fail: bool


@dataclass
class Unit:
    """A service as its file describes it. Paths already lie below the machine's prefix; times are in seconds."""

    start: list[str] = field(default_factory=list)
    stop_post: list[Command] = field(default_factory=list)
    working_directory: Path | None = None
    environment: dict[str, str] = field(default_factory=dict)
    environment_files: list[EnvironmentFile] = field(default_factory=list)
    state_directories: list[str] = field(default_factory=list)
    success: frozenset[int] = frozenset({0})
    timeout_stop: float = 90.0


def below_prefix(path: str, prefix: Path) -> str:
    """The path on the machine's own disk of `path`, for the folders that a machine has of its own."""
    if any(path == folder or path.startswith(folder + "/") for folder in MACHINE_FOLDERS):
        return str(prefix / path.lstrip("/"))
    return path


def parse_unit(name: str, text: str, prefix: Path) -> Unit:
    """Reads a service file. Raises `ValueError`, naming the line, for what is broken or not emulated."""
    unit = Unit()
    section = ""
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.strip()
        if not line or line.startswith(("#", ";")):
            continue
        if line.startswith("[") and line.endswith("]"):
            section = line[1:-1]
            continue
        key, equals, value = (word.strip() for word in line.partition("="))
        if not equals:
            raise ValueError(f"{name}, line {number}: {line!r} is not Key=value")
        if section == "Service" and key not in PASSED_OVER:
            try:
                _apply(unit, key, value, prefix)
            except ValueError as error:
                raise ValueError(f"{name}, line {number}: {error}") from error
    if not unit.start:
        raise ValueError(f"{name}: no ExecStart= in [Service]")
    return unit


def parse_environment_file(text: str) -> dict[str, str]:
    """Reads `NAME=value` lines as systemd.exec(5) says: comments with # or ;, optional quotes around the value."""
    variables = {}
    for line in text.splitlines():
        name, equals, value = (word.strip() for word in line.partition("="))
        if equals and re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
            quoted = len(value) > 1 and value[0] == value[-1] == '"'
            variables[name] = re.sub(r'\\(["\\$`])', r"\1", value[1:-1]) if quoted else value
    return variables


def parse_seconds(value: str) -> float:
    """The seconds of a time span such as `90`, `90s` or `12h`. Raises `ValueError` for anything else."""
    span = re.fullmatch(r"(\d+)(s|h|)", value, re.ASCII)
    if span is None:
        raise ValueError(f"{value!r} is not a time span that is emulated; 90, 90s and 12h are")
    return float(span[1]) * (3600.0 if span[2] == "h" else 1.0)


def _apply(unit: Unit, key: str, value: str, prefix: Path) -> None:
    if key not in READ:
        raise ValueError(f"{key}= is not emulated in the local cloud")
    if key == "ExecStart":
        unit.start = _command(value, prefix)
    elif key == "ExecStopPost":
        marks = value[: len(value) - len(value.lstrip("+-"))]
        unit.stop_post.append(Command(_command(value, prefix), may_fail="-" in marks))
    elif key == "WorkingDirectory":
        unit.working_directory = Path(below_prefix(value, prefix))
    elif key == "Environment":
        unit.environment |= dict(one.split("=", 1) for one in shlex.split(value))
        # There is no user and no network here for the drawing process to have of its own: it is the worker's child.
        unit.environment.pop(DRAWING_SOCKET, None)
    elif key == "EnvironmentFile":
        path = Path(below_prefix(value.removeprefix("-"), prefix))
        unit.environment_files.append(EnvironmentFile(path, optional=value.startswith("-")))
    elif key == "StateDirectory":
        unit.state_directories = value.split()
    elif key == "SuccessExitStatus":
        unit.success |= set(map(int, value.split()))
    elif key == "TimeoutStopSec":
        unit.timeout_stop = parse_seconds(value)


def _command(value: str, prefix: Path) -> list[str]:
    words = shlex.split(value.lstrip("+-"))  # + is for full rights, which no process has here
    if not words:
        raise ValueError(f"{value!r} names no program")
    return [below_prefix(word, prefix) for word in words]
