"""Tells where a run stands: keeps the run's status in the bucket up to date, and the times of its phases."""

from __future__ import annotations

import dataclasses
import math
import threading
import time
from collections.abc import Callable

from userdata.contract.layout import RunKeys
from userdata.contract.status import Failure, Status, read_status, utc_now
from userdata.worker.bucket.bucket import Bucket
from userdata.worker.bucket.publisher import Publisher
from userdata.worker.run.report import PhaseTime

# At most one request a second while something happens. A new estimate alone makes a request every five seconds only,
# because every request is paid for: at one a second, a long run would pay for its status what an image costs.
STATUS_SECONDS = 1.0
ESTIMATE_SECONDS = 5.0


class Progress:
    """The status of one run. Any thread may change it."""

    def __init__(
        self, bucket: Bucket, keys: RunKeys, status: Status, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._status = status
        self._clock = clock
        self._lock = threading.Lock()
        self._finished: list[PhaseTime] = []
        self._began: tuple[str, str, float] | None = None
        self._estimated_at = -math.inf
        self._publisher = Publisher(bucket, keys.status, self._render, interval=STATUS_SECONDS)

    @property
    def started_at(self) -> str:
        """When the run's first attempt began: UTC, ISO 8601."""
        return self._status.started_at

    @property
    def phase(self) -> str:
        """The phase under way."""
        return self._status.phase

    def enter(self, phase: str) -> None:
        """Ends the phase under way, and begins the next one."""
        with self._lock:
            self._finished.extend(self._under_way())
            self._began = (phase, utc_now(), self._clock())
            self._status = dataclasses.replace(
                self._status, phase=phase, eta_seconds=None, error=None, note=None, max_spend=None
            )
        self._publisher.changed()

    def phases(self) -> list[PhaseTime]:
        """The phases of this attempt so far, with the phase under way."""
        with self._lock:
            return [*self._finished, *self._under_way()]

    def count(self, *, done: int) -> None:
        """Tells how many images are in the bucket."""
        with self._lock:
            self._status.images_done = done
        self._publisher.changed()

    def one_more_image(self) -> None:
        """Counts another image in the bucket."""
        with self._lock:
            self._status.images_done += 1
        self._publisher.changed()

    def one_more_flagged(self) -> None:
        """Counts another image that the safety checker has flagged."""
        with self._lock:
            self._status.images_flagged += 1
        self._publisher.changed()

    def estimate(self, eta_seconds: float) -> None:
        """Tells in how many seconds the last image is expected."""
        with self._lock:
            self._status.eta_seconds = round(eta_seconds, 1)
        if self._clock() - self._estimated_at >= ESTIMATE_SECONDS:
            self._estimated_at = self._clock()
            self._publisher.changed()

    def fail(self, failure: Failure) -> None:
        """Tells that the run has failed."""
        self.enter("failed")
        with self._lock:
            self._status.error = failure
        self._publisher.changed()

    def cap(self, note: str, max_spend: float) -> None:
        """Tells that the run ends before its last image, at MaxSpend in US dollars; `note` says so to a person."""
        self.enter("capped")
        with self._lock:
            self._status.note = note
            self._status.max_spend = max_spend
        self._publisher.changed()

    def pause(self) -> None:
        """Tells that the run stops for now: the phase stays, the estimate goes."""
        with self._lock:
            self._status.eta_seconds = None
        self._publisher.changed()

    def close(self) -> None:
        """Makes sure that the last state is in the bucket. Raises botocore's error when that fails."""
        self._publisher.close()

    def _render(self) -> bytes:
        with self._lock:
            return self._status.to_json().encode()

    def _under_way(self) -> list[PhaseTime]:
        if self._began is None:
            return []
        phase, started_at, began = self._began
        return [PhaseTime(phase=phase, started_at=started_at, seconds=round(self._clock() - began, 3))]


def continued_status(found: bytes | None, *, run_id: str, instance_id: str, images_total: int) -> Status:
    """The status of an attempt at its beginning.

    `found` is the status.json of an earlier attempt at the run, if any: when the run began, and how many images were
    done and flagged, stay as they are. How many are done is counted anew before the first one is drawn.
    """
    status = Status(run_id=run_id, instance_id=instance_id, phase="model", images_total=images_total)
    try:
        document = read_status(found) if found else {}
        status.started_at = str(document.get("started_at", status.started_at))
        status.images_done = int(document.get("images_done", 0))
        status.images_flagged = int(document.get("images_flagged", 0))
    except (AttributeError, TypeError, ValueError):
        return status  # neither the worker nor the boot wrote this: the run begins now
    return status
