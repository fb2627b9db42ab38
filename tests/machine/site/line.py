"""A line to a server that is as slow as one through the internet."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

CHUNK_BYTES = 64 << 10


class Line:
    """`latency` seconds before each answer; so many bytes a second for one connection and for all of them together."""

    def __init__(self, *, latency: float, connection: float, together: float) -> None:
        self.latency = latency
        self.connection = connection
        self.together = together
        self._lock = threading.Lock()
        self._free_at = 0.0

    def send(self, write: Callable[[bytes], object], body: bytes) -> None:
        """Writes an answer's body with `write`, at the line's pace."""
        time.sleep(self.latency)
        began = time.monotonic()
        for sent in range(0, len(body), CHUNK_BYTES):
            chunk = body[sent : sent + CHUNK_BYTES]
            write(chunk)
            with self._lock:
                self._free_at = max(self._free_at, time.monotonic()) + len(chunk) / self.together
                due = max(self._free_at, began + (sent + len(chunk)) / self.connection)
            time.sleep(max(0.0, due - time.monotonic()))
