"""Runs other programs, each with a time-out. Their output reaches the log or the caller."""

from __future__ import annotations

import collections
import contextlib
import os
import signal
import subprocess
import threading
from pathlib import Path
from typing import Any, Deque, Iterator, Mapping, Optional, Sequence, Set

from userdata.boot.machine.step_error import StepError
from userdata.contract.log_lines import log_output

LAST_LINES = 5
_running: Set[subprocess.Popen[Any]] = set()


class CommandError(StepError):
    """A program ended with an error or ran out of time. `output` is the end of what it printed."""

    def __init__(self, message: str, output: str) -> None:
        super().__init__(message)
        self.output = output


def answer_of(
    command: Sequence[str], *, seconds: float, text: Optional[str] = None, folder: Optional[Path] = None
) -> str:
    """What `command`, run in `folder`, prints to its standard output, given `text` on its standard input.

    Raises `CommandError` when it ends with an error, takes longer than `seconds` (it is killed then, with all that it
    started), or is not there.
    """
    streams = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    try:
        with _started(command, **streams, cwd=folder, encoding="utf-8", errors="replace") as process:
            answer, errors = process.communicate("" if text is None else text, timeout=seconds)
    except subprocess.TimeoutExpired as error:
        raise CommandError(f"{command[0]} did not end within {seconds:g} s", "") from error
    if process.returncode:
        raise _failure(command, process.returncode, (errors or answer).strip())
    return str(answer)


def run_logged(
    command: Sequence[str],
    *,
    seconds: float,
    folder: Optional[Path] = None,
    environment: Optional[Mapping[str, str]] = None,
) -> None:
    """Runs `command` in `folder`, with `environment` beside this process's own, and logs every line as it comes.

    Raises `CommandError` as `answer_of` does.
    """
    streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    out_of_time = threading.Event()
    last: Deque[str] = collections.deque(maxlen=LAST_LINES)
    with _started(command, **streams, cwd=folder, env={**os.environ, **(environment or {})}) as process:

        def end_group() -> None:
            if _kill(process):
                out_of_time.set()

        timer = threading.Timer(seconds, end_group)
        timer.start()
        try:
            log_output(process.stdout or (), last)
            process.wait()
        finally:
            timer.cancel()
    if out_of_time.is_set():
        raise CommandError(f"{command[0]} did not end within {seconds:g} s", "\n".join(last))
    if process.returncode:
        raise _failure(command, process.returncode, "\n".join(last))


def end_commands() -> None:
    """Kills every program that runs, on whatever thread, with all that it started. For the end of this process."""
    for process in list(_running):
        _kill(process)


@contextlib.contextmanager
def _started(command: Sequence[str], **options: Any) -> Iterator[subprocess.Popen[Any]]:
    """A process of `command`, in a session of its own to be killed as a whole; an error meanwhile kills it."""
    try:
        process = subprocess.Popen(list(command), start_new_session=True, **options)
    except OSError as error:
        raise CommandError(f"{command[0]} cannot be run: {error.strerror}", "") from error
    _running.add(process)
    try:
        with process:
            try:
                yield process
            except BaseException:
                _kill(process)
                raise
    finally:
        _running.discard(process)


def _kill(process: subprocess.Popen[Any]) -> bool:
    """False when the process had just ended by itself."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


def _failure(command: Sequence[str], code: int, output: str) -> CommandError:
    how = f"was ended by signal {-code}" if code < 0 else f"ended with {code}"
    name = Path(command[0]).name
    lines = output.splitlines() or ["it said nothing"]
    # Newer `aws` commands print details of an error below it; other programs end with the reason.
    errors = [line for line in lines if "error" in line.lower()] if name == "aws" else []
    return CommandError(f"{name} {how}: {(errors or lines[-1:])[0].strip()}", output)
