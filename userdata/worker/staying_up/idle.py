"""Waits until the machine has been idle for the idle time."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from userdata.contract.hold import Hold
from userdata.contract.layout import Folders, hold_key
from userdata.worker.bucket.bucket import Bucket
from userdata.worker.bucket.passing_errors import AWS_ERRORS
from userdata.worker.staying_up.gpu_use import BUSY_PERCENT, busiest_gpu
from userdata.worker.staying_up.sessions import open_sessions

logger = logging.getLogger(__name__)

POLL_SECONDS = 5.0
# Each look into the bucket is a request that is paid for, and a person who sets a hold can wait that long.
HOLD_SECONDS = 15.0

# Says why the machine is in use, or None.
Use = Callable[[], str | None]


def wait_until_idle(
    stop: threading.Event, uses: Sequence[Use], *, idle_seconds: float, poll_seconds: float = POLL_SECONDS
) -> None:
    """Returns when no use was found for `idle_seconds` on end, or when `stop` is set.

    Every use is asked at least once, also for 0 seconds. Nothing here limits the whole wait: the timer in the guest and
    the alarm outside end the machine after MaxHours, in use or not.
    """
    idle_since = time.monotonic()
    told: str | None = None
    while not stop.is_set():
        reason = next(filter(None, (use() for use in uses)), None)
        now = time.monotonic()
        if reason:
            idle_since = now
        if reason != told:
            logger.info("In use: %s", reason or "no longer")
            told = reason
        left = idle_since + idle_seconds - now
        if not reason and left <= 0:
            return
        stop.wait(poll_seconds if reason else min(poll_seconds, left))


def uses_of_this_machine(bucket: Bucket, instance_id: str) -> list[Use]:
    """What can use this machine: a hold, and, where those are its own, an open session or a busy GPU.

    Below a prefix the machine is a guest on another one, whose sessions and GPU say nothing about the guest.
    """
    held = Holding(bucket, instance_id)
    return [held] if Folders().root != Path("/") else [_session, _busy, held]


class Holding:
    """The hold in the bucket, which is read again every so many seconds."""

    def __init__(self, bucket: Bucket, instance_id: str, *, every_seconds: float = HOLD_SECONDS) -> None:
        self._bucket = bucket
        self._key = hold_key(instance_id)
        self._every_seconds = every_seconds
        self._looked_at: float | None = None
        self._hold: Hold | None = None

    def __call__(self) -> str | None:
        """Until when the machine is held, as a sentence, or None. A bucket that does not answer holds nothing."""
        if self._looked_at is None or time.monotonic() - self._looked_at >= self._every_seconds:
            self._hold = self._look()
            self._looked_at = time.monotonic()
        if self._hold is None or self._hold.until <= datetime.now(UTC):
            return None
        return f"held until {self._hold.until.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"

    def _look(self) -> Hold | None:
        try:
            content = self._bucket.get(self._key)
            return Hold.from_json(content) if content else None
        except (*AWS_ERRORS, ValueError) as error:
            logger.warning("%s cannot be read: %s", self._key, error)
            return None


def _session() -> str | None:
    sessions = open_sessions()
    return f"an open session ({', '.join(sessions)})" if sessions else None


def _busy() -> str | None:
    percent = busiest_gpu()
    return f"the GPU is busy ({percent:.0f} %)" if percent >= BUSY_PERCENT else None
