"""Runs a command that ends with this process, however that ends."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

# Runs a command in a session that ends with whoever holds the other end of standard input, even after a SIGKILL.
# All of it is built into the shell, because PATH may be anything.
ENDS_WITH_US = 'exec 3<&0; "$@" </dev/null 3<&- & child=$!; { read -r _ <&3; kill -TERM -$$; } & wait "$child"'
Output = int | IO[bytes] | None
TO_END = 5.0  # seconds for the command to end by itself


def run_bound(
    command: Sequence[str], *, folder: Path, environment: Mapping[str, str], output: Output, errors: Output = None
) -> int:
    """Runs `command` in `folder` with an empty standard input; returns its exit code.

    Ctrl-C in the terminal does not reach it, because its parts in Python would show tracebacks: an exception here ends
    the command and what it has started.
    """
    process = subprocess.Popen(
        ["/bin/sh", "-c", ENDS_WITH_US, "sh", *command],
        cwd=folder, env=environment, stdin=subprocess.PIPE, stdout=output, stderr=errors, start_new_session=True,
    )  # fmt: skip
    try:
        return process.wait()
    finally:
        if process.stdin:
            process.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(TO_END)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
