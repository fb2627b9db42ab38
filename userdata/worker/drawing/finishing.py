"""Finishes drawn batches in the background, while the next batch is being drawn."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from userdata.worker.drawing.pending_batch import PendingBatch

# Batches that are handed over and not finished. More would only gather pixels in memory: one batch is finished while
# another is drawn.
AHEAD = 2


class Finishing:
    """Calls `finish` with each batch, on one thread and in their order.

    The next call here raises what `finish` has raised. The batches after a failure are not finished.
    """

    def __init__(self, finish: Callable[[PendingBatch], None]) -> None:
        self._finish = finish
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="finishing")
        self._under_way: deque[Future[None]] = deque()
        self._failed = False

    def hand_over(self, batch: PendingBatch) -> None:
        """Takes `batch`; waits while `AHEAD` batches are unfinished."""
        self._under_way.append(self._thread.submit(self._finish_unless_failed, batch))
        self.wait(leave=AHEAD - 1)

    def wait(self, *, leave: int = 0) -> None:
        """Waits until at most `leave` batches are unfinished."""
        while len(self._under_way) > leave:
            self._under_way.popleft().result()

    def close(self) -> None:
        """Waits for all batches and ends the thread. Must be called whatever happens, or drawn images are lost."""
        try:
            self.wait()
        finally:
            self._thread.shutdown(wait=True)

    def _finish_unless_failed(self, batch: PendingBatch) -> None:
        if self._failed:
            return
        try:
            self._finish(batch)
        except BaseException:
            self._failed = True
            raise
