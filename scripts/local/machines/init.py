"""The first process of an emulated machine: boots it, runs its services, and takes it down as a whole.

Started by the cloud with a clean environment, in a session of its own. Its standard input is a pipe from the cloud:
`power-off` and `reboot` on it are the power button, and its end means that the cloud is gone, and the machine with
it. Its standard output tells the cloud one JSON object a line: `{"event": "booted"}` and, last,
`{"event": "ended", "how": "power-off" | "reboot" | "abandoned"}`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import shutil
import signal
import socket
import sys
from datetime import datetime
from pathlib import Path

from scripts.local.machines.boot_scripts import BootScripts
from scripts.local.machines.processes import adopt_orphans, alive_below, kill_below, signal_all
from scripts.local.machines.service_manager import INACTIVE, Answer, ServiceManager
from scripts.local.machines.shutdown_command import Request, parse_power_command, parse_shutdown
from scripts.local.machines.transient_timer import TransientTimer, parse_systemd_run

log = logging.getLogger(__name__)

SOCKET = "run/init"
OWN_FOLDER = Path(__file__).resolve().parent / "bin"
OWN_COMMANDS = ("systemctl", "systemd-run", "shutdown", "poweroff", "reboot", "halt")
GRACE = 2.0  # seconds between TERM and KILL for what no unit owns


class Init:
    """The machine below `prefix`; `environment` is what its processes begin with."""

    def __init__(self, prefix: Path, environment: dict[str, str]) -> None:
        self.prefix = prefix
        self._environment = environment
        self.services = ServiceManager(prefix, environment)
        self.boot_scripts = BootScripts(prefix, environment)
        self._end: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._planned: asyncio.TimerHandle | None = None
        self._timers: dict[str, asyncio.Task[None]] = {}

    async def run(self) -> str:
        """Runs the machine until it ends, and says how: `power-off`, `reboot` or `abandoned`."""
        server = await asyncio.start_unix_server(self._answer, sock=self._listen())
        buttons = asyncio.create_task(self._watch_power_buttons())
        tell({"event": "booted"})
        boot = asyncio.create_task(self._boot())
        how = await self._end
        if self._planned:
            self._planned.cancel()
        if how != "abandoned":
            await self._stop_everything()
        server.close()
        for task in (boot, buttons, *self._timers.values()):
            task.cancel()
        kill_below()
        return how

    async def _boot(self) -> None:
        try:
            await self.services.start_enabled()
            await self.boot_scripts.run()
        except Exception:
            log.exception("The boot failed.")

    async def _stop_everything(self) -> None:
        await self.services.stop_all()
        signal_all(alive_below(), signal.SIGTERM)
        for _ in range(int(GRACE / 0.05)):
            if not alive_below():
                return
            await asyncio.sleep(0.05)

    def _listen(self) -> socket.socket:
        # Bound by its short name from inside the folder: a socket's path may not be longer than about 100 characters.
        folder, name = os.path.split(self.prefix / SOCKET)
        Path(folder).mkdir(parents=True, exist_ok=True)
        os.chdir(folder)
        Path(name).unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(name)
        os.chdir(self.prefix)
        return listener

    async def _watch_power_buttons(self) -> None:
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        while line := await reader.readline():
            self._finish(line.decode().strip())
        self._finish("abandoned")

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            name, *arguments = json.loads(await reader.readline())
            answer = await self._obey(name, arguments)
        except Exception as error:
            log.exception("A command failed.")
            answer = Answer(1, err=f"{error}\n")
        with contextlib.suppress(ConnectionError):
            writer.write(json.dumps([answer.code, answer.out, answer.err]).encode() + b"\n")
            await writer.drain()
            writer.close()

    async def _obey(self, name: str, arguments: list[str]) -> Answer:
        if name == "systemd-run":
            return self._start_timer(arguments)
        if name == "systemctl" and arguments[:1] == ["is-active"] and arguments[-1] in self._timers:
            return Answer(0 if not self._timers[arguments[-1]].done() else INACTIVE)
        if name == "systemctl" and arguments[:1] not in (["poweroff"], ["reboot"], ["halt"]):
            return await self.services.systemctl(arguments)
        if name == "systemctl":
            name, *arguments = arguments
        try:
            if name == "shutdown":
                request = parse_shutdown(arguments, datetime.now())
            else:
                request = parse_power_command(name, arguments)
        except ValueError as error:
            return Answer(1, err=f"{error}\n")
        self._plan(request)
        return Answer()

    def _start_timer(self, arguments: list[str]) -> Answer:
        try:
            timer = parse_systemd_run(arguments)
        except ValueError as error:
            return Answer(1, err=f"{error}\n")
        name = f"{timer.unit}.timer"
        if name in self._timers:
            return Answer(1, err=f"Failed to start transient timer unit: Unit {name} was already loaded.\n")
        self._timers[name] = asyncio.create_task(self._run_later(timer), name=name)
        return Answer()

    async def _run_later(self, timer: TransientTimer) -> None:
        await asyncio.sleep(timer.delay)
        log.info("The timer %s has elapsed.", timer.unit)
        process = await asyncio.create_subprocess_exec(*timer.command, env=self._environment, process_group=0)
        await process.wait()

    def _plan(self, request: Request) -> None:
        if self._planned:
            self._planned.cancel()
            self._planned = None
        if request.action == "cancel":
            log.info("The planned shutdown is cancelled.")
            return
        log.info("%s in %.0f s", request.action, request.delay)
        loop = asyncio.get_running_loop()
        self._planned = loop.call_later(request.delay, self._finish, request.action)

    def _finish(self, how: str) -> None:
        if not self._end.done():
            log.info("The machine goes down: %s", how)
            self._end.set_result(how)


def check_own_commands(path: str) -> None:
    """Makes sure that nothing on this machine can end or command the host.

    Raises `RuntimeError`, and the machine does not boot, when a look-up along `path` finds anything but our own.
    """
    for name in OWN_COMMANDS:
        found = shutil.which(name, path=path)
        if found is None or Path(found).parent != OWN_FOLDER:
            raise RuntimeError(f"{name} would be {found} and not the machine's own in {OWN_FOLDER}")


def tell(event: dict[str, str]) -> None:
    """Tells the cloud."""
    with contextlib.suppress(BrokenPipeError):
        sys.stdout.write(json.dumps(event) + "\n")
        sys.stdout.flush()


async def run_machine() -> None:
    """Runs the machine whose prefix and environment this process was given."""
    prefix = Path(os.environ["SD_PREFIX"])
    how = await Init(prefix, dict(os.environ)).run()
    tell({"event": "ended", "how": how})


def main() -> None:
    """Runs one machine; its own log is the machine's `var/log/init.log`."""
    adopt_orphans()
    try:
        check_own_commands(os.environ["PATH"])
    except RuntimeError as error:
        sys.exit(str(error))
    log_file = Path(os.environ["SD_PREFIX"]) / "var/log/init.log"
    log_file.parent.mkdir(parents=True, exist_ok=True)
    logging.basicConfig(filename=log_file, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    asyncio.run(run_machine())


if __name__ == "__main__":
    main()
