"""Keeps a received message hidden from others while this worker has it."""

from __future__ import annotations

import logging
import threading

from userdata.contract.work import EXTEND_EVERY_SECONDS, VISIBILITY_SECONDS
from userdata.worker.bucket.passing_errors import AWS_ERRORS, passes
from userdata.worker.queue.queues import Message, Queues

logger = logging.getLogger(__name__)
# After an extension that failed. Two of three may fail before the message is seen by others.
AGAIN_SECONDS = 10.0


class Lease:
    """The lease on `message`, from its receipt to `end`.

    A thread of its own extends it, which waits neither for the GPU nor, since all that it needs was imported when the
    message was received, for an import. SQS lets nobody hold a message for more than 12 hours from its receipt: after
    that the message comes again, and what is drawn by then is not drawn again.
    """

    def __init__(self, queues: Queues, message: Message, *, every_seconds: float = EXTEND_EVERY_SECONDS) -> None:
        self.message = message
        self._queues = queues
        self._every_seconds = every_seconds
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._extend, name="lease", daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Extends no more. Returns when no extension is under way, which would hide the message again."""
        self._ended.set()
        self._thread.join()

    def give_back(self, *, after_seconds: int = 0) -> None:
        """Ends the lease, and lets anybody receive the message `after_seconds` from now. A failure is logged."""
        self.end()
        try:
            self._queues.hide(self.message, seconds=after_seconds)
        except AWS_ERRORS as error:
            logger.warning("The message comes again in up to %d s: %s", VISIBILITY_SECONDS, error)

    def _extend(self) -> None:
        pause = self._every_seconds
        while not self._ended.wait(pause):
            try:
                self._queues.hide(self.message, seconds=VISIBILITY_SECONDS)
                pause = self._every_seconds
            except AWS_ERRORS as error:
                logger.warning("The lease on the message could not be extended: %s", error)
                if not passes(error):
                    return  # somebody else has received the message by now
                pause = min(AGAIN_SECONDS, self._every_seconds)
