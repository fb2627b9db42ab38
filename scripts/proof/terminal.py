"""A person's terminal: the commands as they are typed, waiting with a deadline, and what all of it has cost so far."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TypeVar

from scripts.command_line.terminal.command_error import CommandError
from scripts.command_line.terminal.plain_text import printable
from scripts.interruption.scratch_folder import scratch_folder

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
PROGRAMS = {"cdk": ROOT / "node_modules/.bin/cdk", "sd": ROOT / "scripts/sd", "aws": BIN / "aws"}
# The option that takes a folder for what a command writes, which nobody needs afterwards.
NEEDS_A_FOLDER: dict[tuple[str, ...], str] = {("cdk",): "--output", ("sd", "generate"): "--to"}
# As the CDK prints the event of a resource.
FAILED = re.compile(r"(?:CREATE|UPDATE|DELETE)_FAILED *\|[^|]*\| *(.*\S)")
COMMAND_MINUTES = 45.0
TO_END = 15.0  # seconds for a command to end by itself after a signal
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
Found = TypeVar("Found")


class Interrupted(BaseException):
    """A signal asks this process to end."""

    def __init__(self, number: int) -> None:
        self.number = number


def obey_signals() -> None:
    """Makes Ctrl-C and its like raise `Interrupted`, each time anew."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise Interrupted(number)

    for number in SIGNALS:
        signal.signal(number, interrupt)


@dataclass(frozen=True)
class Finished:
    """A command that has ended: as it was typed, its exit status, and all that it printed."""

    command: str
    status: int
    output: str

    @property
    def reason(self) -> str:
        """The line in which it says why it failed: CloudFormation's first reason, else the last word."""
        text = printable(self.output)
        reasons = FAILED.findall(text) or [line.strip() for line in text.splitlines() if line.strip()][-1:]
        return str(reasons[0]) if reasons else f"exit status {self.status}"


class Meter:
    """What the instances have cost so far, at most: all of a time counts in whose beginning or end one was billed."""

    def __init__(self, hourly: Mapping[str, float]) -> None:
        self._hourly = hourly
        self._before: list[str] = []
        self._then = self.began = time.monotonic()
        self.usd = 0.0

    def read(self, billed: Sequence[str]) -> None:
        """Takes down the types of the instances that are billed now."""
        now = time.monotonic()
        hourly = max(sum(self._hourly.get(name, 0) for name in names) for names in (self._before, billed))
        self.usd += hourly * (now - self._then) / 3600
        self._before, self._then = list(billed), now


class Terminal:
    """Runs commands in the checkout, in the environment of this process. `every` is how often waiting looks, in s."""

    def __init__(self, meter: Meter, look: Callable[[], Sequence[str]], *, every: float) -> None:
        self._meter = meter
        self._look = look
        self._every = every

    def tell(self, text: str) -> None:
        """Says something to the person, if there is still somebody: a terminal that was closed takes nothing."""
        with contextlib.suppress(OSError):
            sys.stderr.write(printable(text) + "\n")
            sys.stderr.flush()

    def so_far(self) -> str:
        """The time and the cost so far, for a person."""
        minutes = (time.monotonic() - self._meter.began) / 60
        return f"{minutes:.0f} min and at most ${self._meter.usd:.2f} so far"

    def run(self, *words: str) -> Finished:
        """Runs a command to its end, which comes by force after a while. Its standard input is empty."""
        typed = shlex.join(words)
        self.tell(f"  $ {typed}")
        with scratch_folder("sd-proof-") as folder:
            option = NEEDS_A_FOLDER.get(words[:2], NEEDS_A_FOLDER.get(words[:1]))
            more = [option, str(folder)] if option else []
            status, output = _run([str(PROGRAMS[words[0]]), *words[1:], *more])
        self._read_meter()
        return Finished(typed, status, output)

    def wait(self, what: str, condition: Callable[[], Found | None], *, minutes: float) -> Found:
        """Waits until the condition gives something true, and gives that. An error of AWS may pass, so it waits on.

        Raises `CommandError` at the deadline.
        """
        self.tell(f"  waits for {what}, {minutes:g} min at most; {self.so_far()}")
        end = time.monotonic() + 60 * minutes
        problem = ""
        while time.monotonic() < end:
            try:
                self._meter.read(self._look())
                found = condition()
            except CommandError as error:
                found, problem = None, f" The last answer: {error}"
            if found:
                return found
            time.sleep(self._every)
        raise CommandError(f"Waited {minutes:g} min for {what}, in vain.{problem}")

    def _read_meter(self) -> None:
        with contextlib.suppress(CommandError):
            self._meter.read(self._look())


def _run(command: list[str]) -> tuple[int, str]:
    path = f"{BIN}:{ROOT / 'node_modules/.bin'}:{os.environ.get('PATH', os.defpath)}"
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env={**os.environ, "PATH": path},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
    )
    try:
        output, _ = process.communicate(timeout=60 * COMMAND_MINUTES)
        return process.returncode, output
    except subprocess.TimeoutExpired:
        _end(process)
        return 124, f"did not end within {COMMAND_MINUTES:g} minutes"
    except Interrupted:
        _end(process)
        raise


def _end(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGINT)
    try:
        process.communicate(timeout=TO_END)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
