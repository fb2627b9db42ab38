"""Starts the worker: writes its environment, installs the systemd units, and hands over what it draws with."""

from __future__ import annotations

import logging
import threading
from pathlib import Path
from typing import Optional

from userdata.boot.machine.commands import CommandError, answer_of
from userdata.boot.machine.step_error import StepError
from userdata.boot.steps.machine import Machine
from userdata.contract.atomic_file import write_atomically
from userdata.contract.layout import Folders
from userdata.contract.outside import read_utc
from userdata.contract.worker_environment import STAYS, ModelEnvironment, WorkerEnvironment

logger = logging.getLogger(__name__)
UNIT = "sd-worker"
CACHE_UNIT = "sd-cache"
UNIT_FILES = (f"{UNIT}.service", "sd-drawing.socket", "sd-drawing@.service", f"{CACHE_UNIT}.service")
SYSTEMCTL_SECONDS = 120


def serve_on(folders: Folders) -> None:
    """Starts the worker again, which then waits for the queues without end. A failure is logged.

    For a machine that stays up after its run. Not waited for, since systemd starts the unit when it has ended.
    """
    file = folders.worker_environment
    try:
        write_atomically(file, (file.read_text("utf-8") + f"{STAYS}=yes\n").encode())
        answer_of(["systemctl", "start", "--no-block", UNIT], seconds=SYSTEMCTL_SECONDS)
    except (OSError, CommandError) as error:
        logger.warning("the worker was not started again for the queues: %s", error)


class WorkerUnit:
    """The worker's unit during one boot.

    Importing torch and diffusers takes the worker seconds, and minutes from a new volume. So it is started as soon as
    there is an interpreter, and waits, with everything imported, for what it draws with. A process that only warmed the
    disk's cache would not spare those seconds of the processor.
    """

    def __init__(self, folders: Folders) -> None:
        self._folders = folders
        self._started = False
        self._stopped = False
        self._text = ""
        self._lock = threading.Lock()  # a failure of another step may stop it while it is being started

    def start_ahead(self, machine: Machine, python: Path, *, boot_started_at: str) -> None:
        """Starts the worker in the interpreter `python`, anew if it is running; once a boot.

        A failure is logged and no more: `hand_over` tries again, when a failure can be told. Raises `StepError` for a
        setting that a unit's environment cannot carry.
        """
        environment = WorkerEnvironment(
            python=python,
            device=None if machine.has_gpu else "cpu",
            bucket=machine.parameters["ResultsBucket"],
            instance_id=machine.instance.instance_id,
            instance_type=machine.instance.instance_type,
            life_cycle=machine.instance.life_cycle,
            region=machine.parameters["Region"],
            boot_started_at=read_utc(boot_started_at),
        )
        with self._lock:
            if self._started or self._stopped:
                return
            try:
                self._text = environment.to_text(machine.settings)
            except ValueError as error:
                raise StepError(f"The worker's environment cannot be written: {error}. Correct machine.env.") from error
            try:
                self._start()
            except (StepError, OSError, ValueError) as error:
                logger.warning("the worker was not started ahead of its model: %s", error)

    def hand_over(self, model: ModelEnvironment) -> None:
        """Tells the worker what to draw with, and starts a worker that does not run. Raises `StepError`."""
        if not self._started:
            self._start()
        write_atomically(self._folders.model_environment, model.to_text().encode())
        self._systemctl("start", UNIT)

    def stop(self) -> None:
        """Stops a worker that would wait for ever, and starts it no more. A failure is logged."""
        with self._lock:
            self._stopped = True
            if not self._started:
                return
            try:
                self._systemctl("stop", UNIT)
            except StepError as error:
                logger.warning("%s", error)

    def _start(self) -> None:
        folders = self._folders
        folders.logs.mkdir(parents=True, exist_ok=True)
        folders.model_environment.unlink(missing_ok=True)  # from an earlier boot
        write_atomically(folders.worker_environment, self._text.encode())
        changed = False
        for name in UNIT_FILES:
            new, installed = folders.deployed.unit(name).read_text("utf-8"), folders.units / name
            if not installed.exists() or installed.read_text("utf-8") != new:
                write_atomically(installed, new.encode())
                changed = True
        if changed:
            self._systemctl("daemon-reload")
        self._systemctl("restart", UNIT)
        self._started = True

    def _systemctl(self, verb: str, unit: Optional[str] = None) -> None:
        try:
            answer_of(["systemctl", verb, *([unit] if unit else [])], seconds=SYSTEMCTL_SECONDS)
        except CommandError as error:
            raise StepError(
                f"systemctl {verb} of the worker failed: {error}. On the machine, systemctl status {UNIT} says more."
            ) from error
