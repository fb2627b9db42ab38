"""Runs an action beside others, on a thread that does not hold up the end of the process."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from typing import Callable, TypeVar

Result = TypeVar("Result")


def begin(action: Callable[[], Result]) -> Future[Result]:
    """Begins `action` on a thread of its own, with this one's name; the future has what it returns or raises.

    Rejected: an executor of the standard library, whose threads Python waits for at its exit. A boot that has failed
    must not wait for a download.
    """
    future: Future[Result] = Future()

    def run() -> None:
        try:
            future.set_result(action())
        except BaseException as error:  # noqa: BLE001  # whoever asks for the result gets it
            future.set_exception(error)

    threading.Thread(target=run, name=threading.current_thread().name, daemon=True).start()
    return future
