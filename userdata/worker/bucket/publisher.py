"""Keeps one object of the bucket up to date with something that keeps changing."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from botocore.exceptions import BotoCoreError, ClientError

from userdata.worker.bucket.bucket import Bucket

logger = logging.getLogger(__name__)


class Publisher:
    """Uploads what `render` returns to `key`, in the background, at most once in `interval` seconds.

    An upload that fails is tried again at the next change; the one of `close` is the last and always tried, unless
    nothing has ever changed.
    """

    def __init__(self, bucket: Bucket, key: str, render: Callable[[], bytes], *, interval: float) -> None:
        self._bucket = bucket
        self._key = key
        self._render = render
        self._interval = interval
        self._changed = threading.Event()
        self._anything = False
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._publish, name=f"publisher of {key}", daemon=True)
        self._thread.start()

    def changed(self) -> None:
        """Tells that `render` has something new."""
        self._anything = True
        self._changed.set()

    def close(self) -> None:
        """Uploads the last state. Raises botocore's error when even that fails."""
        self._closing.set()
        self._changed.set()
        self._thread.join()
        if self._anything:
            self._bucket.put(self._key, self._render())

    def _publish(self) -> None:
        while True:
            self._changed.wait()
            # Before it is asked for: `close`, between the two, would be cleared away, and wait for ever.
            self._changed.clear()
            if self._closing.is_set():
                return
            try:
                self._bucket.put(self._key, self._render())
            except (BotoCoreError, ClientError, OSError) as error:
                logger.warning("%s was not uploaded: %s", self._key, error)
            self._closing.wait(self._interval)
