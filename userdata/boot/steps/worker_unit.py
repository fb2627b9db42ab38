"""Starts the worker: writes its environment, installs the systemd units, and hands over what it draws with."""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import Mapping, Optional

from userdata.boot.machine.commands import CommandError, answer_of
from userdata.boot.machine.step_error import StepError
from userdata.contract.layout import Folders

logger = logging.getLogger(__name__)
UNIT = "sd-worker"
CACHE_UNIT = "sd-cache"
SYSTEMCTL_SECONDS = 120
_PLAIN = re.compile(r"[A-Za-z0-9_./:,@%+=-]*")


class WorkerUnit:
    """The worker's unit during one boot.

    Importing torch and diffusers takes the worker seconds, and minutes from a new volume. So it is started as soon as
    there is an interpreter, and waits, with everything imported, for what it draws with. A process that only warmed the
    disk's cache would not spare those seconds of the processor.
    """

    def __init__(self, folders: Folders) -> None:
        self._folders = folders
        self._started = False

    def start_ahead(self, environment: Mapping[str, str]) -> None:
        """Starts the worker with `environment`, anew if it is running; once a boot.

        That this fails is logged and no more: `hand_over` tries it again, when a failure can be told.
        """
        if self._started:
            return
        try:
            self._start(environment)
        except (StepError, OSError, ValueError) as error:
            logger.warning("the worker was not started ahead of its model: %s", error)

    def hand_over(self, environment: Mapping[str, str], model: Mapping[str, str]) -> None:
        """Gives the worker `model`, the variables that name what it draws with; starts it where it does not run.

        Raises `StepError` when systemd refuses.
        """
        if not self._started:
            self._start(environment)
        _replace(self._folders.model_environment, environment_file(model))
        self._systemctl("start")

    def stop(self) -> None:
        """Stops a worker that would wait for ever; where that fails, it is logged."""
        if not self._started:
            return
        try:
            self._systemctl("stop")
        except StepError as error:
            logger.warning("%s", error)

    def _start(self, environment: Mapping[str, str]) -> None:
        folders = self._folders
        folders.logs.mkdir(parents=True, exist_ok=True)
        folders.model_environment.unlink(missing_ok=True)  # an earlier boot's
        _replace(folders.worker_environment, environment_file(environment))
        sources = [folders.bundle / f"userdata/{unit}.service" for unit in (UNIT, CACHE_UNIT)]
        changed = [_replace(folders.units / source.name, source.read_text("utf-8")) for source in sources]
        if any(changed):
            self._systemctl("daemon-reload", unit=None)
        self._systemctl("restart")
        self._started = True

    def _systemctl(self, verb: str, unit: Optional[str] = UNIT) -> None:
        try:
            answer_of(["systemctl", verb, *([unit] if unit else [])], seconds=SYSTEMCTL_SECONDS)
        except CommandError as error:
            raise StepError(
                f"systemctl {verb} of the worker failed: {error}. On the machine, systemctl status {UNIT} says more."
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
