"""Uploads, in the background, something that keeps changing: only its newest state matters."""

from __future__ import annotations

import logging
import threading
from typing import Callable, Tuple, Type

logger = logging.getLogger(__name__)


class BackgroundUpload:
    """Calls `upload`, which sends the state as it is then, on a thread of its own after a change.

    An upload waits `pause` seconds for further changes, and the next one begins `interval` seconds after it at the
    earliest. An upload that ends with one of `failures` is logged, and tried again at the next change.
    """

    def __init__(
        self,
        what: str,
        upload: Callable[[], object],
        *,
        failures: Tuple[Type[Exception], ...],
        pause: float = 0,
        interval: float = 0,
    ) -> None:
        self._what = what
        self._upload = upload
        self._failures = failures
        self._pause = pause
        self._interval = interval
        self._condition = threading.Condition()
        self._ever_changed = self._waiting = self._busy = self._closing = False
        self._thread = threading.Thread(target=self._work, name=f"upload of {what}", daemon=True)
        self._thread.start()

    def changed(self) -> None:
        """Tells that there is something new; returns at once."""
        with self._condition:
            self._ever_changed = self._waiting = True
            self._condition.notify_all()

    def settle(self, seconds: float = 300) -> bool:
        """Forgets what waits, and returns when the upload under way has ended; False when that takes `seconds`.

        For a caller who tells something newer next, in another way. The default is longer than one upload with all its
        attempts.
        """
        with self._condition:
            self._waiting = False
            self._condition.notify_all()
            settled = self._condition.wait_for(lambda: not self._busy, seconds)
        if not settled:
            logger.warning("an upload of %s is still under way after %g s", self._what, seconds)
        return settled

    def close(self) -> None:
        """Uploads the last state, unless nothing has ever changed. Raises what `upload` raises."""
        with self._condition:
            self._closing = True
            self._condition.notify_all()
        self._thread.join()
        if self._ever_changed:
            self._upload()

    def _work(self) -> None:
        while True:
            with self._condition:
                self._condition.wait_for(lambda: self._waiting or self._closing)
                # What is settled meanwhile is not uploaded.
                if self._condition.wait_for(lambda: self._closing or not self._waiting, self._pause):
                    if self._closing:
                        return
                    continue
                self._waiting, self._busy = False, True
            try:
                self._upload()
            except self._failures as error:
                logger.warning("%s was not uploaded: %s", self._what, error)
            finally:
                with self._condition:
                    self._busy = False
                    self._condition.notify_all()
            with self._condition:
                self._condition.wait_for(lambda: self._closing, self._interval)
