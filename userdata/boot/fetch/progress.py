"""Tells in the log how far a file has come."""

from __future__ import annotations

import logging
from typing import Callable, Optional

from userdata.boot.machine.disk_space import amount

logger = logging.getLogger(__name__)
PROGRESS_SECONDS = 10


class Progress:
    """Tells it every ten seconds. `whole` is the file's size in bytes where known, `have` what was there before."""

    def __init__(self, name: str, whole: Optional[int], have: int, clock: Callable[[], float]) -> None:
        self._name = name
        self._whole = whole
        self._before = have
        self._clock = clock
        self._started = self._shown = clock()

    def show(self, have: int) -> None:
        """Tells that `have` bytes are here, unless something was told a moment ago."""
        now = self._clock()
        if now - self._shown < PROGRESS_SECONDS:
            return
        self._shown = now
        share = f" of {amount(self._whole)} ({100 * have // self._whole}%)" if self._whole else ""
        speed = amount((have - self._before) / (now - self._started))
        logger.info("%s: %s%s, %s/s", self._name, amount(have), share, speed)
