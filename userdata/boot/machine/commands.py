"""Runs other programs, each with a time-out. Their output reaches the log or the caller."""

from __future__ import annotations

import collections
import os
import signal
import subprocess
import threading
from pathlib import Path
from typing import Deque, Optional, Sequence

from userdata.boot.machine.step_error import StepError
from userdata.contract.log_lines import log_output

LAST_LINES = 5


class CommandError(StepError):
    """A program ended with an error or ran out of time. `output` is the end of what it printed."""

    def __init__(self, message: str, output: str) -> None:
        super().__init__(message)
        self.output = output


def answer_of(command: Sequence[str], *, seconds: float, text: Optional[str] = None) -> str:
    """What `command` prints to its standard output, given `text` on its standard input.

    Raises `CommandError` when it ends with an error, takes longer than `seconds`, or is not there.
    """
    try:
        done = subprocess.run(
            list(command),
            input="" if text is None else text,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise CommandError(f"{command[0]} did not end within {seconds:g} s", "") from error
    except OSError as error:
        raise CommandError(f"{command[0]} cannot be run: {error.strerror}", "") from error
    if done.returncode:
        raise _failure(command, done.returncode, (done.stderr or done.stdout).strip())
    return done.stdout


def run_logged(command: Sequence[str], *, seconds: float, folder: Optional[Path] = None) -> None:
    """Runs `command` in `folder` and logs every line as it comes.

    Raises `CommandError` when the command ends with an error, takes longer than `seconds` (it is killed then, with all
    that it started), or is not there.
    """
    try:
        process = subprocess.Popen(
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=folder,
            start_new_session=True,
        )
    except OSError as error:
        raise CommandError(f"{command[0]} cannot be run: {error.strerror}", "") from error
    out_of_time = threading.Event()

    def end_group() -> None:
        out_of_time.set()
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            out_of_time.clear()  # it has just ended by itself

    timer = threading.Timer(seconds, end_group)
    timer.start()
    last: Deque[str] = collections.deque(maxlen=LAST_LINES)
    try:
        log_output(process.stdout or (), last)
        process.wait()
    finally:
        timer.cancel()
    if out_of_time.is_set():
        raise CommandError(f"{command[0]} did not end within {seconds:g} s", "\n".join(last))
    if process.returncode:
        raise _failure(command, process.returncode, "\n".join(last))


def _failure(command: Sequence[str], code: int, output: str) -> CommandError:
    how = f"was ended by signal {-code}" if code < 0 else f"ended with {code}"
    name = Path(command[0]).name
    lines = output.splitlines() or ["it said nothing"]
    # Newer `aws` commands print details of an error below it; other programs end with the reason.
    errors = [line for line in lines if "error" in line.lower()] if name == "aws" else []
    return CommandError(f"{name} {how}: {(errors or lines[-1:])[0].strip()}", output)
