"""Hands over to the worker: writes its environment, installs the systemd units and starts its own."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Mapping

from userdata.boot.commands import CommandError, answer_of
from userdata.boot.step_error import StepError
from userdata.worker.layout import Folders

UNIT = "sd-worker"
CACHE_UNIT = "sd-cache"
SYSTEMCTL_SECONDS = 120
_PLAIN = re.compile(r"[A-Za-z0-9_./:,@%+=-]*")


def start_worker(folders: Folders, environment: Mapping[str, str]) -> None:
    """Starts the worker with `environment`, anew if it is running. Raises `StepError` when systemd refuses."""
    folders.logs.mkdir(parents=True, exist_ok=True)
    _replace(folders.worker_environment, environment_file(environment))
    sources = [folders.bundle / f"userdata/{unit}.service" for unit in (UNIT, CACHE_UNIT)]
    changed = [_replace(folders.units / source.name, source.read_text("utf-8")) for source in sources]
    try:
        if any(changed):
            answer_of(["systemctl", "daemon-reload"], seconds=SYSTEMCTL_SECONDS)
        answer_of(["systemctl", "restart", UNIT], seconds=SYSTEMCTL_SECONDS)
    except CommandError as error:
        raise StepError(
            f"The worker could not be started: {error}. On the machine, systemctl status {UNIT} says more."
        ) from error


def environment_file(environment: Mapping[str, str]) -> str:
    """The text of a systemd `EnvironmentFile`: values are quoted where they need it, and are never expanded.

    Raises `StepError` for a value with a line break, which such a file cannot carry.
    """
    return "".join(f"{name}={_quoted(name, value)}\n" for name, value in environment.items())


def _quoted(name: str, value: str) -> str:
    if _PLAIN.fullmatch(value):
        return value
    if re.search(r"[\r\n\0]", value):
        raise StepError(f"{name} has a line break, which systemd cannot read. Correct it in machine.env.")
    return '"' + re.sub(r'(["\\$`])', r"\\\1", value) + '"'


def _replace(path: Path, text: str) -> bool:
    """Whether there was anything to replace."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and path.read_text("utf-8") == text:
        return False
    new = path.with_name(path.name + ".new")
    new.write_text(text, "utf-8")
    new.replace(path)
    return True
