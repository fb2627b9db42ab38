"""Runs other programs, each with a time-out. Their output reaches the log or the caller."""

from __future__ import annotations

import collections
import contextlib
import functools
import os
import signal
import subprocess
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Deque, Iterator, List, Mapping, Optional, Sequence, Set

from userdata.boot.machine.step_error import StepError
from userdata.contract.log_lines import log_output

LAST_LINES = 5
KILL_SECONDS = 10
GRACE_SECONDS = 2
# Of one stream of a program. The longest answer is S3's list of all that the cache has, with some 2 MB.
MOST_SAID = 16 << 20
LONGEST_LINE = 64 << 10
MOST_QUOTED = 1000
_running: Set[subprocess.Popen[Any]] = set()
_users: Set["User"] = set()


class CommandError(StepError):
    """A program ended with an error or ran out of time.

    `output` is the end of what it printed. `code` is its exit status, negative for a signal, or None.
    """

    def __init__(self, message: str, output: str, code: Optional[int] = None) -> None:
        super().__init__(message)
        self.output = output
        self.code = code


class TooMuchSaidError(CommandError):
    """A program said more than `MOST_SAID` bytes."""


@dataclass(frozen=True)
class User:
    """A user without rights, as whom root runs a program; `home` is a folder of its own, for temporary files too."""

    name: str
    home: Path

    def words(self, command: Sequence[str]) -> List[str]:
        """The command that runs `command` as this user, who can gain no rights by it."""
        rights = ("--no-new-privs", "--inh-caps=-all", "--bounding-set=-all")
        return ["setpriv", f"--reuid={self.name}", f"--regid={self.name}", "--clear-groups", *rights, "--", *command]

    @property
    def environment(self) -> Mapping[str, str]:
        """What replaces root's own variables."""
        return {"HOME": str(self.home), "TMPDIR": str(self.home), "USER": self.name, "LOGNAME": self.name}


def answer_of(
    command: Sequence[str],
    *,
    seconds: float,
    text: Optional[str] = None,
    folder: Optional[Path] = None,
    user: Optional[User] = None,
) -> str:
    """What `command`, run in `folder` as `user`, prints to its standard output, given `text` on its standard input.

    Raises `CommandError` when it ends with an error, takes longer than `seconds` or says more than `MOST_SAID` bytes
    (it is killed then, with all that it started), or is not there.
    """
    streams = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with _started(command, user, None, **streams, cwd=folder) as process, _ended_after(seconds, process) as out_of_time:
        heard = [_Heard(process, stream) for stream in (process.stdout, process.stderr) if stream]
        with contextlib.suppress(BrokenPipeError):  # it has ended already, and says why
            assert process.stdin
            process.stdin.write((text or "").encode("utf-8", "replace"))
            process.stdin.close()
        answer, errors = [one.text() for one in heard]
        process.wait()
    if any(one.too_much for one in heard):
        raise TooMuchSaidError(f"{command[0]} said more than {MOST_SAID >> 20} MiB", "")
    _check_time(out_of_time, command, seconds, "")
    if process.returncode:
        raise _failure(command, process.returncode, (errors or answer).strip())
    return answer


class _Heard(threading.Thread):
    """Hears what a process says, and ends one that says more than `MOST_SAID` bytes: it may be anybody's program."""

    def __init__(self, process: subprocess.Popen[Any], stream: IO[bytes]) -> None:
        super().__init__(daemon=True)
        self.too_much = False
        self._process = process
        self._stream = stream
        self._said = b""
        self.start()

    def run(self) -> None:
        self._said = self._stream.read(MOST_SAID)
        if self._stream.read(1):
            self.too_much = True
            _kill(self._process)

    def text(self) -> str:
        """All of it, once it has ended."""
        self.join()
        return self._said.decode("utf-8", "replace")


def run_logged(
    command: Sequence[str],
    *,
    seconds: float,
    folder: Optional[Path] = None,
    environment: Optional[Mapping[str, str]] = None,
    user: Optional[User] = None,
) -> str:
    """Runs `command` in `folder` as `user`, with `environment` beside this process's own, and logs each line at once.

    Returns the last of them, a few. Raises `CommandError` as `answer_of` does.
    """
    streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    last: Deque[str] = collections.deque(maxlen=LAST_LINES)
    started = _started(command, user, environment, **streams, cwd=folder)
    with started as process, _ended_after(seconds, process) as out_of_time:
        assert process.stdout
        log_output(iter(functools.partial(process.stdout.readline, LONGEST_LINE), b""), last)
        process.wait()
    _check_time(out_of_time, command, seconds, "\n".join(last))
    if process.returncode:
        raise _failure(command, process.returncode, "\n".join(last))
    return "\n".join(last)


@contextlib.contextmanager
def _ended_after(seconds: float, process: subprocess.Popen[Any]) -> Iterator[threading.Event]:
    """Kills `process` when the block takes longer than `seconds`; what it gives tells then."""
    out_of_time = threading.Event()

    def end_group() -> None:
        if _kill(process):
            out_of_time.set()

    timer = threading.Timer(seconds, end_group)
    timer.start()
    try:
        yield out_of_time
    finally:
        timer.cancel()
        timer.join()


def _check_time(out_of_time: threading.Event, command: Sequence[str], seconds: float, output: str) -> None:
    if out_of_time.is_set():
        raise CommandError(f"{command[0]} did not end within {seconds:g} s", output)


def end_commands() -> None:
    """Kills every program that runs, on whatever thread, with all that it started. For the end of this process.

    Of another user everything ends: a program of that user may have started others in sessions of their own.
    """
    for process in list(_running):
        _kill(process)
    for user in list(_users):
        subprocess.run(user.words(["sh", "-c", "kill -KILL -1"]), check=False, timeout=KILL_SECONDS)


@contextlib.contextmanager
def _started(
    command: Sequence[str], user: Optional[User], environment: Optional[Mapping[str, str]], **options: Any
) -> Iterator[subprocess.Popen[Any]]:
    """A process of `command`, in a session of its own to be killed as a whole; an error meanwhile kills it."""
    words = list(command)
    if user:
        _users.add(user)
        words = user.words(command)
    variables = {**os.environ, **(user.environment if user else {}), **(environment or {})}
    try:
        process = subprocess.Popen(words, start_new_session=True, env=variables, **options)
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
    """False when the process had just ended by itself.

    It is asked first, because a step that runs apart has programs in sessions of their own, and ends them.
    """
    try:
        os.killpg(process.pid, signal.SIGTERM)
    except ProcessLookupError:
        return False
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(GRACE_SECONDS)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    return True


def _failure(command: Sequence[str], code: int, output: str) -> CommandError:
    how = f"was ended by signal {-code}" if code < 0 else f"ended with {code}"
    name = Path(command[0]).name
    lines = output.splitlines() or ["it said nothing"]
    # Newer `aws` commands print details of an error below it; other programs end with the reason.
    errors = [line for line in lines if "error" in line.lower()] if name == "aws" else []
    return CommandError(f"{name} {how}: {quoted((errors or lines[-1:])[0])}", output, code)


def quoted(line: str) -> str:
    """A line of another program as an error quotes it, which may become a word of a command: short, and no NUL."""
    return "".join(one if one.isprintable() else "?" for one in line.strip()[:MOST_QUOTED])
