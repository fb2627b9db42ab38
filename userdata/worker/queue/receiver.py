"""Asks one queue for a message in the background."""

from __future__ import annotations

import logging
import math
import threading
import time

from botocore.exceptions import (
    BotoCoreError,
    ConnectTimeoutError,
    EndpointConnectionError,
)

from userdata.contract.patience import Patience
from userdata.worker.bucket.passing_errors import passes
from userdata.worker.queue.lease import Lease
from userdata.worker.queue.queues import Queues

logger = logging.getLogger(__name__)
# After a failure. A queue that cannot be reached is no reason to end, and none to stay up longer than LAST_LOOKS.
AGAIN_SECONDS = 5.0
# Of a request that must not miss a message: one that does not wait asks only some of SQS's servers.
LAST_LOOK_SECONDS = 1
# 91 s in all, as for the bucket: a queue that is away for the seconds of the last look must not end a machine that was
# started for what the queue holds.
LAST_LOOKS = Patience(attempts=9, first_pause=1, longest_pause=20)
# Where no connection came about, there is no answer that could be lost.
NOT_ASKED = (ConnectTimeoutError, EndpointConnectionError)


class Receiver:
    """Has at most one request to the queue `kind` under way, and at most one message, leased since it came.

    `woken` is set whenever a request ends.
    """

    def __init__(self, queues: Queues, kind: str, woken: threading.Event, *, wait_seconds: int) -> None:
        self._queues = queues
        self._kind = kind
        self._woken = woken
        self._wait_seconds = wait_seconds
        self._lease: Lease | None = None
        self._thread: threading.Thread | None = None
        self._asking = False
        self._found_nothing = False
        self._failure = ""
        self._hurries = threading.Event()
        self._lost_at = -math.inf

    def ask(self) -> None:
        """Begins to wait for a message, unless this waits already or has one."""
        if self._lease or self._asking:
            return
        self._asking = True
        self._thread = threading.Thread(target=self._receive, name=f"{self._kind} messages", daemon=True)
        self._thread.start()

    def has_one(self) -> bool:
        """Whether a message has come."""
        return self._lease is not None

    def take(self) -> Lease | None:
        """Hands out the message that has come, if any."""
        lease, self._lease = self._lease, None
        return lease

    def found_nothing(self) -> bool:
        """Whether the queue has said, since this was last asked, that it holds nothing."""
        nothing, self._found_nothing = self._found_nothing, False
        return nothing

    def look_again(self, stop: threading.Event) -> None:
        """Returns when a request that began after this call was answered, or when a message has come.

        One that fails for now is repeated until `stop` is set. Where an answer was lost a short time ago, a message may
        have been lost with it, which SQS hides until its time is over: it is waited for.
        """
        self._hurries.set()
        if self._thread:
            self._thread.join()
        for pause in (*LAST_LOOKS.pauses(), 0):
            if self._lease or not self._fails_for_now(wait_seconds=LAST_LOOK_SECONDS) or stop.wait(pause):
                break
        comes_again_at = self._lost_at + self._queues.hidden_seconds + LAST_LOOK_SECONDS
        while not self._lease and time.monotonic() < comes_again_at and not stop.wait(LAST_LOOK_SECONDS):
            self._fails_for_now(wait_seconds=LAST_LOOK_SECONDS)
        self._hurries.clear()

    def close(self) -> None:
        """Gives back the message that has come."""
        if lease := self.take():
            lease.give_back()

    def _receive(self) -> None:
        self._fails_for_now(wait_seconds=self._wait_seconds)

    def _fails_for_now(self, *, wait_seconds: int) -> bool:
        """Asks for a message once, and says whether that has failed by what passes."""
        failed: Exception | None = None
        try:
            message = self._queues.receive(self._kind, wait_seconds=wait_seconds)
            if message and message.after_a_loss:
                self._lost_at = time.monotonic()
            self._found_nothing = message is None
            self._lease = Lease(self._queues, message) if message else None
            self._failure = ""
        except Exception as error:  # noqa: BLE001  # whatever it is: who asks no more would wait for ever
            failed = error
            if isinstance(error, BotoCoreError) and not isinstance(error, NOT_ASKED):
                self._lost_at = time.monotonic()
            if str(error) != self._failure:
                self._failure = str(error)
                logger.warning("The queue of %s runs cannot be asked, and is asked again: %s", self._kind, error)
            self._hurries.wait(AGAIN_SECONDS)
        self._asking = False
        self._woken.set()
        return passes(failed)
