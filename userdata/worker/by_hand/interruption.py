"""Ends a script that a person interrupts: with one line and no traceback."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
TO_END = 2  # seconds


class _Interrupted(BaseException):
    """A signal asks the script to end."""


@contextmanager
def ends_when_interrupted(script: str) -> Iterator[None]:
    """Ctrl-C, `kill` and a closed terminal end what is within, with exit status 128 + N; twice, at once.

    Each image is written whole or not at all, so nothing has to be mended. A library that goes on working is not waited
    for for long, nor are its threads at the end of the process.
    """

    def end(number: int, frame: FrameType | None) -> None:
        def leave(again: int, frame: FrameType | None) -> None:
            os._exit(128 + number)

        for one in (*NUMBERS, signal.SIGALRM):
            signal.signal(one, leave)
        signal.alarm(TO_END)
        sys.stderr.write(f"\n{script}: Interrupted; the images that were saved stay.\n")
        raise _Interrupted(number)

    for number in NUMBERS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, end)
    try:
        yield
    except _Interrupted as interrupted:
        os._exit(128 + interrupted.args[0])
