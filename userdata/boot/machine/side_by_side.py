"""Runs actions beside each other, on threads."""

from __future__ import annotations

import os
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Callable, Iterable, List, TypeVar

Item = TypeVar("Item")
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


def side_by_side(action: Callable[[Item], Result], items: Iterable[Item]) -> List[Result]:
    """`action` of each item, in order; the first error ends it.

    As many at a time as there are processors, up to 16, because each may fill a piece of the disk.
    """
    executor = ThreadPoolExecutor(max_workers=min(16, max(2, os.cpu_count() or 2)))
    try:
        return [future.result() for future in [executor.submit(action, item) for item in items]]
    finally:
        executor.shutdown(cancel_futures=True)
