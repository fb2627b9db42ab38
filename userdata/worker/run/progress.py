"""Where a run stands: its status in the bucket, kept up to date, and the times of its phases."""

from __future__ import annotations

import dataclasses
import json
import threading
import time

from userdata.contract.layout import RunKeys
from userdata.contract.status import Failure, Status, utc_now
from userdata.worker.bucket.bucket import Bucket
from userdata.worker.bucket.publisher import Publisher
from userdata.worker.run.report import PhaseTime

# A request a second while something happens; the estimate alone asks for one every five seconds only, since every
# request is paid for: at one a second, a long run would pay for its status what an image costs.
STATUS_SECONDS = 1.0
ESTIMATE_SECONDS = 5.0


class Progress:
    """The status of one run, safe to be changed from any thread."""

    def __init__(self, bucket: Bucket, keys: RunKeys, status: Status) -> None:
        self._status = status
        self._lock = threading.Lock()
        self._finished: list[PhaseTime] = []
        self._began: tuple[str, str, float] | None = None
        self._estimated_at = 0.0
        self._publisher = Publisher(bucket, keys.status, self._render, interval=STATUS_SECONDS)

    @property
    def phase(self) -> str:
        """The phase under way."""
        return self._status.phase

    def enter(self, phase: str) -> None:
        """A new phase begins, and the one before it ends."""
        with self._lock:
            self._end_phase()
            self._began = (phase, utc_now(), time.monotonic())
            self._status = dataclasses.replace(
                self._status, phase=phase, eta_seconds=None, error=None, note=None, max_spend=None
            )
        self._publisher.changed()

    def phases(self) -> list[PhaseTime]:
        """The phases of this attempt so far, the one under way included."""
        with self._lock:
            return [*self._finished, *self._under_way()]

    def count(self, *, done: int) -> None:
        """So many images are in the bucket."""
        with self._lock:
            self._status.images_done = done
        self._publisher.changed()

    def one_more_image(self) -> None:
        """Another image is in the bucket."""
        with self._lock:
            self._status.images_done += 1
        self._publisher.changed()

    def one_more_flagged(self) -> None:
        """The safety checker has flagged another image."""
        with self._lock:
            self._status.images_flagged += 1
        self._publisher.changed()

    def estimate(self, eta_seconds: float) -> None:
        """The last image is expected in so many seconds."""
        with self._lock:
            self._status.eta_seconds = round(eta_seconds, 1)
        if time.monotonic() - self._estimated_at >= ESTIMATE_SECONDS:
            self._estimated_at = time.monotonic()
            self._publisher.changed()

    def fail(self, failure: Failure) -> None:
        """The run has failed."""
        self.enter("failed")
        with self._lock:
            self._status.error = failure
        self._publisher.changed()

    def cap(self, note: str, max_spend: float) -> None:
        """The run ends before its last image, at MaxSpend in US dollars; `note` says so to a person."""
        self.enter("capped")
        with self._lock:
            self._status.note = note
            self._status.max_spend = max_spend
        self._publisher.changed()

    def pause(self) -> None:
        """The run stops here for now: the phase stays, the estimate goes."""
        with self._lock:
            self._status.eta_seconds = None
        self._publisher.changed()

    def close(self) -> None:
        """Makes sure that the last state is in the bucket. Raises botocore's error when that fails."""
        self._publisher.close()

    def _render(self) -> bytes:
        with self._lock:
            return self._status.to_json().encode()

    def _end_phase(self) -> None:
        self._finished.extend(self._under_way())
        self._began = None

    def _under_way(self) -> list[PhaseTime]:
        if self._began is None:
            return []
        phase, started_at, began = self._began
        return [PhaseTime(phase=phase, started_at=started_at, seconds=round(time.monotonic() - began, 3))]


def continued_status(found: bytes | None, *, run_id: str, instance_id: str, images_total: int) -> Status:
    """The status to begin with: new, or with what the run that `found`, its status.json, tells of keeps.

    That is its beginning, and how many of its images were flagged.
    """
    status = Status(run_id=run_id, instance_id=instance_id, phase="model", images_total=images_total)
    try:
        document = json.loads(found) if found else {}
        status.started_at = str(document.get("started_at", status.started_at))
        status.images_flagged = int(document.get("images_flagged", 0))
    except (AttributeError, TypeError, ValueError):
        return status  # nothing that this worker or the boot wrote: the run begins now
    return status
