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


def raise_interrupted() -> None:
    """From now on a signal raises `Interrupted`. Further signals change nothing while that is cleaned up after."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        # A caller that swallowed the first one is asked again.
        if not _is_ending(sys.exc_info()[1]):
            raise Interrupted(number)

    _obey(interrupt)


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
def when_interrupted(tell: Callable[[], str]) -> Iterator[None]:
    """An interruption of what is within tells what `tell` says, unless something further within has said more."""
    try:
        yield
    except Interrupted as interrupted:
        interrupted.told = interrupted.told or tell()
        raise
