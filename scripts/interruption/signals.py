"""Turns the signals that ask a process to end into one exception, which gathers what a person must know."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Callable, Iterator
from types import FrameType

# Ctrl-C, `kill`, a terminal that was closed.
NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# While `held`: a zero for each that is within another, and the signals that came meanwhile.
_held: list[int] = []
Handler = Callable[[int, FrameType | None], None]


class Interrupted(BaseException):
    """A signal asks this process to end. `told` says what goes on, and which command ends that; empty for nothing.

    Rejected: KeyboardInterrupt, which Click turns into an answer to its question.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number
        self.told = ""
        self.exit_status = 128 + number


def end_at_once(sentence: str = "") -> None:
    """From now on a signal ends this process at once, after `sentence`: for times when nothing has to be cleaned up.

    While modules are imported an exception would not do, because some libraries swallow it.
    """

    def end(number: int, frame: FrameType | None) -> None:
        with contextlib.suppress(OSError):
            os.write(2, f"\n{sentence}\n".encode() if sentence else b"")
        os._exit(128 + number)

    _obey(end)


def end_at_once_while_imported() -> None:
    """For a package of programs: `end_at_once` where `python -m` runs one of them, and imports the package first."""
    if sys.argv[:1] == ["-m"]:
        end_at_once("Interrupted; nothing was written.")


def raise_interrupted() -> None:
    """From now on a signal raises `Interrupted`. Further signals change nothing while that is cleaned up after."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        if _held:
            _held.append(number)
        # A caller that swallowed the first one is asked again.
        elif not _is_ending(sys.exc_info()[1]):
            raise Interrupted(number)

    _obey(interrupt)


@contextlib.contextmanager
def held() -> Iterator[None]:
    """An interruption waits until the end of what is within, which must be short.

    Rejected: blocking the signals, because another thread would take them and Python interrupt this one all the same.
    """
    _held.append(0)
    try:
        yield
    finally:
        _held.remove(0)
        if 0 not in _held and _held:  # the outermost, and a signal came
            number = _held[0]
            _held.clear()
            raise Interrupted(number)


def _obey(handler: Handler) -> None:
    """What was told to pass over a signal goes on doing so: `nohup` does that, and a shell to what is in background."""
    for number in NUMBERS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, handler)


def _is_ending(error: BaseException | None) -> bool:
    while error is not None and not isinstance(error, Interrupted):
        error = error.__context__
    return error is not None


@contextlib.contextmanager
def ends_in_a_sentence() -> Iterator[None]:
    """What is within is a whole program: interrupted, it cleans up, says so and ends with 128 + N."""
    raise_interrupted()
    try:
        yield
    except Interrupted as interrupted:
        with contextlib.suppress(OSError):
            sys.stderr.write(f"\n{interrupted.told or 'Interrupted; what was written before is whole.'}\n")
            sys.stderr.flush()
        os._exit(interrupted.exit_status)  # threads of a library that computes are not waited for
    finally:
        end_at_once()


@contextlib.contextmanager
def when_interrupted(tell: Callable[[], str]) -> Iterator[None]:
    """An interruption of what is within tells what `tell` says, unless something further within has said more."""
    try:
        yield
    except Interrupted as interrupted:
        interrupted.told = interrupted.told or tell()
        raise
