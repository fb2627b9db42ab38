"""One attempt at a unit: reads its line, draws its images, uploads them, and says last that it is done."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from userdata.batch.documents import UnitDone
from userdata.batch.unit import MOST_LINE_BYTES, Unit
from userdata.contract.layout import RunKeys
from userdata.contract.work import UnitOfBatch
from userdata.job.image_request import ImageRequest
from userdata.job.job import Job
from userdata.job.run_error import GaveWay, RunError, Stopped
from userdata.worker.batch.control import cap, may_begin
from userdata.worker.batch.ended import Ended
from userdata.worker.batch.notice import mail_about
from userdata.worker.batch.share import Share
from userdata.worker.batch.spending import BatchSpending
from userdata.worker.batch.unit_pictures import UnitPictures
from userdata.worker.between.task import Draws, Task
from userdata.worker.bucket.bucket import Bucket
from userdata.worker.process.settings import Settings
from userdata.worker.run.ledger import Ledger
from userdata.worker.run.limits import Limits
from userdata.worker.run.run import Outcome, in_words, outcome_of
from userdata.worker.run.run_request import fetch_initial_image, masked

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class OpenBatch:
    """A batch that this machine works on."""

    keys: RunKeys
    share: Share
    spending: BatchSpending


@dataclass(frozen=True)
class Machine:
    """What draws a unit: the machine of `settings` with its `parameters`, and what finds a job's files."""

    settings: Settings
    parameters: Mapping[str, str]
    loaded: Draws
    provide: Callable[[Job], Settings]


class UnitAttempt:
    """An attempt at `work`, begun now. Called again after it gave way, it goes on with what is not drawn yet.

    `open_batch` opens the work's batch. `from_boot` says that what the machine costs counts from its boot.
    """

    def __init__(
        self,
        machine: Machine,
        bucket: Bucket,
        work: UnitOfBatch,
        open_batch: Callable[[], OpenBatch],
        *,
        limits: Limits,
        broke_before: bool,
        from_boot: bool,
    ) -> None:
        self._machine = machine
        self._bucket = bucket.counted_anew()
        self._work = work
        self._keys = RunKeys(work.run_id)
        self._open_batch = open_batch
        self._limits = limits
        self._broke_before = broke_before
        self._from_boot = from_boot
        self._received = time.monotonic()
        self._pictures: UnitPictures | None = None

    def __call__(self) -> Ended:
        """Draws what is left of the unit, unless somebody has drawn it, or nothing may be begun."""
        ledger, began = self._ledger(self._bucket.counted_anew(), from_boot=self._from_boot), time.monotonic()
        try:
            batch = self._open_batch()
            if not self._is_wanted(batch):
                return Ended(Outcome.DONE)
        except Exception as error:  # noqa: BLE001  # whatever it is, it must be told
            return self._failed(error)
        self._from_boot = False
        try:
            pictures = self._draw(beside=batch.spending.images)
            return Ended(Outcome.DONE, finish=lambda: self._finish(batch, pictures))
        except GaveWay:
            return Ended(Outcome.GAVE_WAY)
        except Stopped:
            return Ended(Outcome.STOPPED)
        except Exception as error:  # noqa: BLE001
            return self._failed(error)
        finally:
            # At once, because the limit counts it before the next unit, and however it ended, because it is paid for.
            seconds = time.monotonic() - began
            batch.share.count(ledger.receipt(), seconds=seconds)
            batch.spending.unit_took(seconds)

    def _is_wanted(self, batch: OpenBatch) -> bool:
        keys, work = self._keys, self._work
        if self._bucket.get(keys.unit_done(work.part, work.unit)) is not None or not may_begin(self._bucket, keys):
            return False
        if why := batch.spending.why_not(batch.share.told):
            if cap(self._bucket, keys, why, by=self._machine.settings.instance_id):
                mail_about(work.run_id, f"The batch {work.run_id} rests. {why}\n", self._machine.parameters)
            return False
        return True

    def _draw(self, *, beside: int) -> UnitPictures:
        job, requests = self._read()
        if job.from_image:
            self._keys = RunKeys(self._keys.run_id, from_image=True)
        start = fetch_initial_image(self._bucket, job.init_img) if job.from_image else None
        initial = masked(self._bucket, job, start, requests)
        settings = self._machine.provide(job)
        pictures = self._pictures = self._pictures or UnitPictures(
            self._bucket,
            self._keys,
            job,
            requests,
            initial_image=initial,
            shard=f"{self._work.part}-{self._work.unit:06}",
        )
        if missing := pictures.left:
            self._limits.before_model()
            logger.info(
                "Unit %d of part %d of %s: %d images", self._work.unit, self._work.part, self._work.run_id, len(missing)
            )
            self._machine.loaded.draw(
                settings,
                Task(
                    job,
                    missing,
                    total=len(requests),
                    initial_image=initial.image if initial else None,
                    ready=lambda: None,
                    save=pictures.save,
                    begin_batch=self._limits.before_batch,
                    leave_if_asked=self._limits.leave_if_asked,
                    estimate=lambda _seconds: None,
                    beside=max(0, beside - len(requests)),
                ),
            )
        return pictures

    def _read(self) -> tuple[Job, list[ImageRequest]]:
        """The unit's job and images. Raises `RunError` for a line that is none."""
        work, key = self._work, self._keys.units(self._work.part)
        fits = 0 < work.bytes <= MOST_LINE_BYTES
        line = self._bucket.get_part(key, work.at, work.bytes) if fits else b""
        if line is None:
            raise RunError(f"There is no {key} in the bucket {self._bucket.name}, so nothing says what to draw.")
        try:
            unit = Unit.from_line(line)
            if unit.unit != work.unit:
                raise ValueError(f"The line at byte {work.at:,} is that of unit {unit.unit}.")
            return unit.requests()
        except ValueError as error:
            raise RunError(f"Unit {work.unit} of {key} cannot be drawn. {error}") from error

    def _ledger(self, bucket: Bucket, *, from_boot: bool = False) -> Ledger:
        """What the machine costs from now on, or has cost since its boot, with the requests of `bucket`."""
        began = None if from_boot else datetime.now(UTC)
        return Ledger(self._machine.settings, bucket, self._machine.parameters, began=began)

    def _finish(self, batch: OpenBatch, pictures: UnitPictures) -> Ended:
        """Waits for the uploads, and tells that the unit is done. The next unit may be drawn meanwhile."""
        try:
            pictures.finish()
            settings = self._machine.settings
            done = UnitDone(
                instance_id=settings.instance_id,
                instance_type=settings.instance_type,
                life_cycle=settings.life_cycle,
                ended=datetime.now(UTC),
                images=pictures.count,
                flagged=pictures.flagged,
                seconds=round(time.monotonic() - self._received, 3),
            )
            ours = self._bucket.put_once(self._keys.unit_done(self._work.part, self._work.unit), done.to_json())
        except Exception as error:  # noqa: BLE001
            return self._failed(error)
        # The requests alone: the machine's time since the unit was drawn is the next unit's.
        batch.share.count(self._ledger(self._bucket).receipt(), images=pictures.count if ours else None)
        return Ended(Outcome.DONE)

    def _failed(self, error: Exception) -> Ended:
        outcome = outcome_of(error, broke_before=self._broke_before)
        why = in_words(error, look=f"The log of {self._machine.settings.instance_id} says where.")
        if self._pictures:
            with contextlib.suppress(Exception):  # the first failure is the one to tell
                self._pictures.finish()
        unforeseen = None if isinstance(error, RunError) else error
        where = (self._work.unit, self._work.part, self._work.run_id)
        logger.error("Unit %d of part %d of %s: %s", *where, why, exc_info=unforeseen)
        return Ended(outcome, why, sets_aside=outcome is not Outcome.BROKE)
