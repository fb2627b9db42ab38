"""One service of the machine, started, watched and stopped as systemd does it."""

from __future__ import annotations

import asyncio
import logging
import signal
from pathlib import Path

from scripts.local.machines.processes import alive_of, signal_all
from scripts.local.machines.unit_file import Unit, parse_environment_file

log = logging.getLogger(__name__)

# systemd.service(5), SuccessExitStatus: ending by one of these signals is a clean end.
CLEAN_SIGNALS = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGPIPE)


class Service:
    """A unit with its process. `state` is `inactive`, `active`, `deactivating` or `failed`, as systemctl says it.

    What the processes write goes to `<prefix>/var/log/units/<name>.log`, the emulated machine's journal.
    """

    def __init__(self, name: str, prefix: Path, environment: dict[str, str]) -> None:
        self.name = name
        self.state = "inactive"
        self.journal = prefix / "var/log/units" / f"{name}.log"
        self._prefix = prefix
        self._machine_environment = environment
        self._process: asyncio.subprocess.Process | None = None
        self._watch: asyncio.Task[None] | None = None
        self._unit = Unit()
        self._timed_out = False

    async def start(self, unit: Unit) -> None:
        """Starts ExecStart and returns. Raises `OSError` or `ValueError` when it cannot be started."""
        if self.state == "active":
            return
        if self._watch:
            await self._watch
        self._unit = unit
        self._timed_out = False
        try:
            environment = self._environment(unit)
            self._process = await self._spawn(unit.start, environment)
        except OSError:
            self.state = "failed"
            raise
        self.state = "active"
        self._watch = asyncio.create_task(self._supervise(self._process, environment), name=self.name)

    async def stop(self) -> None:
        """Stops the processes with TERM, then KILL once TimeoutStopSec is over, and waits for ExecStopPost."""
        if self._watch is None:
            return
        if self.state == "active":
            self.state = "deactivating"
            self._signal(signal.SIGTERM)
            done, _ = await asyncio.wait([self._watch], timeout=self._unit.timeout_stop)
            if not done:
                self._timed_out = True
                self._signal(signal.SIGKILL)
        await self._watch

    async def _supervise(self, process: asyncio.subprocess.Process, environment: dict[str, str]) -> None:
        code = await process.wait()
        self._signal(signal.SIGKILL)  # what the main process left behind, as KillMode=control-group does
        result = self._result(code)
        how = {
            "SERVICE_RESULT": result,
            "EXIT_CODE": "exited" if code >= 0 else "killed",
            "EXIT_STATUS": str(code) if code >= 0 else signal.Signals(-code).name.removeprefix("SIG"),
        }
        self.state = "deactivating"
        for command in self._unit.stop_post:
            try:
                after = await self._spawn(command.words, {**environment, **how})
                code = await after.wait()
            except OSError as error:
                log.error("%s: %s could not be started: %s", self.name, command.words[0], error)
                code = 203  # systemd's EXIT_EXEC
            if code:
                log.error("%s: %s of ExecStopPost ended with %s", self.name, " ".join(command.words), code)
                if not command.may_fail:
                    break  # as systemd does
        self.state = "inactive" if result == "success" else "failed"
        log.info("%s ended: %s (%s %s)", self.name, result, how["EXIT_CODE"], how["EXIT_STATUS"])

    def _result(self, code: int) -> str:
        if self._timed_out:
            return "timeout"
        if code < 0:
            return "success" if signal.Signals(-code) in CLEAN_SIGNALS else "signal"
        return "success" if code in self._unit.success else "exit-code"

    def _signal(self, number: signal.Signals) -> None:
        if self._process:
            signal_all(alive_of(self._process.pid), number)

    def _environment(self, unit: Unit) -> dict[str, str]:
        environment = {**self._machine_environment, **unit.environment}
        for file in unit.environment_files:
            try:
                environment.update(parse_environment_file(file.path.read_text("utf-8")))
            except FileNotFoundError:
                if not file.optional:
                    raise
        folders = [self._prefix / "var/lib" / name for name in unit.state_directories]
        for folder in folders:
            folder.mkdir(parents=True, exist_ok=True)
        if folders:
            environment["STATE_DIRECTORY"] = ":".join(map(str, folders))
        return environment

    async def _spawn(self, words: list[str], environment: dict[str, str]) -> asyncio.subprocess.Process:
        self.journal.parent.mkdir(parents=True, exist_ok=True)
        with self.journal.open("ab") as journal:
            return await asyncio.create_subprocess_exec(
                *words,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=journal,
                stderr=asyncio.subprocess.STDOUT,
                env=environment,
                cwd=self._unit.working_directory or self._prefix,
                process_group=0,
            )
