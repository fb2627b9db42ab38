"""The first process of an emulated machine: boots it, runs its services, and takes it down as a whole.

Started by the cloud with a clean environment, in a session of its own. Its standard input is a pipe from the cloud:
`power-off` on it is the power button, and its end means that the cloud is gone, and the machine with it. Its standard
output tells the cloud one JSON object a line: `{"event": "booted"}` and, last,
`{"event": "ended", "how": "power-off" | "abandoned"}`.
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
from pathlib import Path

from scripts.local.machines.boot_script import run_boot_script
from scripts.local.machines.processes import adopt_orphans, alive_below, kill_below, signal_all
from scripts.local.machines.service_manager import INACTIVE, VERBS, Answer, ServiceManager
from scripts.local.machines.unit_file import parse_seconds

log = logging.getLogger(__name__)

SOCKET = "run/init"
OWN_FOLDER = Path(__file__).resolve().parent / "bin"
OWN_COMMANDS = ("systemctl", "systemd-run", "shutdown", "poweroff", "reboot", "halt")
# What powers the machine off. All else that these commands could do is refused.
ENDING = (["shutdown", "-P", "now"], ["systemctl", "poweroff"], ["systemctl", "poweroff", "-ff"])
GRACE = 2.0  # seconds between TERM and KILL for what no unit owns


class Init:
    """The machine below `prefix`; `environment` is what its processes begin with."""

    def __init__(self, prefix: Path, environment: dict[str, str]) -> None:
        self.prefix = prefix
        self._environment = environment
        self.services = ServiceManager(prefix, environment)
        self._end: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._timers: dict[str, asyncio.Task[None]] = {}
        self._jobs: set[asyncio.Task[Answer]] = set()  # that nobody waits for

    async def run(self) -> str:
        """Runs the machine until it ends, and says how: `power-off` or `abandoned`."""
        server = await asyncio.start_unix_server(self._answer, sock=self._listen())
        button = asyncio.create_task(self._watch_power_button())
        tell({"event": "booted"})
        boot = asyncio.create_task(self._boot())
        how = await self._end
        if how != "abandoned":
            await self._stop_everything()
        server.close()
        for task in (boot, button, *self._timers.values(), *self._jobs):
            task.cancel()
        kill_below()
        return how

    async def _boot(self) -> None:
        try:
            await run_boot_script(self.prefix, self._environment)
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

    async def _watch_power_button(self) -> None:
        reader = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        while line := await reader.readline():
            self._finish(line.decode().strip())
        self._finish("abandoned")

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            answer = await self._obey(json.loads(await reader.readline()))
        except Exception as error:
            log.exception("A command failed.")
            answer = Answer(1, err=f"{error}\n")
        with contextlib.suppress(ConnectionError):
            writer.write(json.dumps([answer.code, answer.out, answer.err]).encode() + b"\n")
            await writer.drain()
            writer.close()

    async def _obey(self, words: list[str]) -> Answer:
        """Does what a command on the machine asks for; refuses what the product never asks for."""
        if words in ENDING:
            self._finish("power-off")
            return Answer()
        match [word for word in words if word != "--quiet"]:
            case ["systemctl", "is-active", name] if name in self._timers:
                return Answer(INACTIVE if self._timers[name].done() else 0)
            case ["systemctl", verb, "--no-block", *units] if verb in VERBS:
                job = asyncio.create_task(self.services.obey(verb, units), name=f"{verb} {' '.join(units)}")
                self._jobs.add(job)
                job.add_done_callback(self._jobs.discard)
                return Answer()
            case ["systemctl", verb, *units] if verb in VERBS:
                return await self.services.obey(verb, units)
            case ["systemd-run", *arguments]:
                return self._start_timer(arguments)
        return Answer(1, err=f"{' '.join(words)}: not emulated on this machine; nothing was done\n")

    def _start_timer(self, arguments: list[str]) -> Answer:
        """Runs one command later, by a transient timer: systemd-run --unit=NAME --on-active=TIME COMMAND."""
        count = next((index for index, word in enumerate(arguments) if not word.startswith("--")), len(arguments))
        options = dict(word.split("=", 1) for word in arguments[:count])
        if options.keys() - {"--property"} != {"--unit", "--on-active"} or count == len(arguments):
            return Answer(1, err="systemd-run: only --unit=NAME --on-active=TIME COMMAND is emulated\n")
        name = f"{options['--unit']}.timer"
        if name in self._timers:
            return Answer(1, err=f"Failed to start transient timer unit: Unit {name} was already loaded.\n")
        delay = parse_seconds(options["--on-active"])
        self._timers[name] = asyncio.create_task(self._run_later(name, delay, arguments[count:]), name=name)
        return Answer()

    async def _run_later(self, name: str, delay: float, command: list[str]) -> None:
        await asyncio.sleep(delay)
        log.info("The timer %s has elapsed.", name)
        process = await asyncio.create_subprocess_exec(*command, env=self._environment, process_group=0)
        await process.wait()

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
    """Tells the cloud of an event."""
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
