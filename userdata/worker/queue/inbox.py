"""Waits for the next message: an interactive one first, a batch's in between, until the machine is idle."""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable, Sequence

from userdata.contract.work import BATCH, INTERACTIVE, WAIT_SECONDS
from userdata.worker.queue.lease import Lease
from userdata.worker.queue.queues import Queues
from userdata.worker.queue.receiver import Receiver
from userdata.worker.staying_up.idle import Use, wait_until_idle

logger = logging.getLogger(__name__)
LOOK_SECONDS = 0.5


class Inbox:
    """The messages of both `queues`, until `stop` is set, or the machine was not in use for `idle_seconds`.

    `settle` returns when nothing is done in the background any more. `nothing_left` is called after that whenever the
    queue of batches is found empty.
    """

    def __init__(
        self,
        queues: Queues,
        stop: threading.Event,
        uses: Sequence[Use],
        *,
        idle_seconds: float,
        settle: Callable[[], None],
        nothing_left: Callable[[], None],
    ) -> None:
        self._stop = stop
        self._uses = uses
        self._idle_seconds = idle_seconds
        self._settle = settle
        self._nothing_left = nothing_left
        self._woken = threading.Event()
        self._interactive, self._batch = (
            Receiver(queues, kind, self._woken, wait_seconds=math.ceil(min(WAIT_SECONDS, idle_seconds)))
            for kind in (INTERACTIVE, BATCH)
        )

    def next(self) -> Lease | None:
        """The next message, or None when there is nothing to wait for any more."""
        done_waiting, idle = threading.Event(), threading.Event()

        def watch() -> None:
            try:
                self._settle()
                wait_until_idle(done_waiting, self._uses, idle_seconds=self._idle_seconds)
            except Exception as error:  # noqa: BLE001  # without this thread the machine would never be idle
                logger.error("What uses the machine cannot be told, so it counts as idle: %r", error)
            idle.set()
            self._woken.set()

        threading.Thread(target=watch, name="idle", daemon=True).start()
        try:
            while not self._stop.is_set():
                self._woken.clear()
                self._interactive.ask()
                self._batch.ask()
                if lease := self._interactive.take() or self._batch.take():
                    return lease
                if idle.is_set():
                    # A message that comes after this look stays in its queue: whoever sent it starts the machine again.
                    self._look_again()
                    if lease := self._interactive.take() or self._batch.take():
                        return lease
                    self._look_whether_nothing_is_left()
                    return None
                self._look_whether_nothing_is_left()
                self._woken.wait(LOOK_SECONDS)
        finally:
            done_waiting.set()
        return None

    def first(self) -> Lease | None:
        """The interactive message that has come, if any."""
        return self._interactive.take()

    def somebody_waits(self) -> bool:
        """Whether an interactive message has come."""
        self._interactive.ask()
        return self._interactive.has_one()

    def close(self) -> None:
        """Gives back the messages that have come."""
        self._interactive.close()
        self._batch.close()

    def _look_whether_nothing_is_left(self) -> None:
        if self._batch.found_nothing():
            self._settle()
            self._nothing_left()

    def _look_again(self) -> None:
        threads = [
            threading.Thread(target=one.look_again, args=[self._stop]) for one in (self._interactive, self._batch)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
