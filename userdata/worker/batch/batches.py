"""The batches that this machine works on, from its first unit of one to the end."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from userdata.batch.documents import Batch, BatchEnded, UnitFailed
from userdata.contract.layout import RunKeys
from userdata.contract.work import BATCH, Release, UnitOfBatch
from userdata.job.job import Job
from userdata.job.run_error import RunError
from userdata.worker.batch.control import may_begin
from userdata.worker.batch.ended import Ended
from userdata.worker.batch.endings import UnitsLeftError, end_if_all_is_done
from userdata.worker.batch.release import release_units
from userdata.worker.batch.share import Share
from userdata.worker.batch.spending import BatchSpending
from userdata.worker.batch.unit_attempt import Machine, OpenBatch, UnitAttempt
from userdata.worker.between.task import Draws
from userdata.worker.bucket.bucket import Bucket
from userdata.worker.process.settings import Settings
from userdata.worker.run.limits import Limits
from userdata.worker.run.page import publish_batch
from userdata.worker.run.run import Outcome

logger = logging.getLogger(__name__)
# How often to look for ends while messages of other batches keep coming.
LOOK_SECONDS = 300.0
# How often to look for the end of a batch after the last message about it, some 20 s apart. Another machine may be at
# the last unit meanwhile, and die when it has drawn it and before it looks itself.
MOST_LOOKS = 10
TellEnded = Callable[[Batch, BatchEnded], None]


class Batches:
    """Does work of batches with what `loaded` keeps, on the machine of `settings`, whose parameters are `parameters`.

    `provide` finds or fetches what a job is drawn with; it gets the job and the name of its batch. `send` sends
    messages to a queue. `ended` is called once for a batch, by the machine that sees first that nothing is left to
    draw.
    """

    def __init__(
        self,
        settings: Settings,
        parameters: Mapping[str, str],
        stop: threading.Event,
        *,
        bucket: Bucket,
        loaded: Draws,
        provide: Callable[[Job, str], Settings],
        send: Callable[[str, list[str]], None],
        ended: TellEnded,
    ) -> None:
        self._settings = settings
        self._parameters = parameters
        self._stop = stop
        self._bucket = bucket
        self._loaded = loaded
        self._provide = provide
        self._send = send
        self._ended = ended
        self._open: dict[str, OpenBatch] = {}
        # How many looks are left at each batch that a message was about.
        self._looks: dict[str, int] = {}
        self._looked_at = time.monotonic()

    def release(self, work: Release, *, gives_way: Callable[[], bool]) -> Ended:
        """Sends the messages of some units, and one for the rest."""
        self._looks[work.run_id] = MOST_LOOKS
        try:
            if may_begin(self._bucket, RunKeys(work.run_id)):
                release_units(
                    self._bucket,
                    work,
                    lambda bodies: self._send(BATCH, bodies),
                    leaves=lambda: self._stop.is_set() or gives_way(),
                )
            return Ended(Outcome.DONE)
        except RunError as error:
            logger.error("%s", error)
            return Ended(Outcome.FAILED, str(error), sets_aside=True)

    def unit(
        self, work: UnitOfBatch, *, gives_way: Callable[[], bool], broke_before: bool, from_boot: bool
    ) -> UnitAttempt:
        """An attempt at a unit, to be called until it does not give way."""
        self._looks[work.run_id] = MOST_LOOKS
        return UnitAttempt(
            Machine(self._settings, self._parameters, self._loaded, lambda job: self._provide(job, work.run_id)),
            self._bucket,
            work,
            lambda: self._opened(work.run_id),
            limits=Limits(self._stop, None, gives_way),
            broke_before=broke_before,
            from_boot=from_boot,
        )

    def tell_failed(self, work: UnitOfBatch, why: str) -> None:
        """Tells that a unit is set aside, unless that is told already. Raises botocore's errors."""
        failed = UnitFailed(
            instance_id=self._settings.instance_id,
            reason=why[:2000],
            failed_at=datetime.now(UTC),
            at=work.at,
            bytes=max(1, work.bytes),
        )
        self._bucket.put_once(RunKeys(work.run_id).unit_failed(work.part, work.unit), failed.to_json())

    @property
    def should_look(self) -> bool:
        """Whether it is time to look for ends although the queue is not empty."""
        return bool(self._looks) and time.monotonic() - self._looked_at >= LOOK_SECONDS

    def look_for_ends(self) -> None:
        """Sees whether a batch that this machine has worked on has ended. Nothing may be under way meanwhile."""
        self._looked_at = time.monotonic()
        for run_id in [*self._looks]:
            self._close(run_id)
            looks = self._looks.pop(run_id) - 1
            try:
                if ended := end_if_all_is_done(self._bucket, run_id):
                    publish_batch(self._bucket, run_id, ended[0])
                    self._ended(*ended)
            except UnitsLeftError:
                if looks:
                    self._looks[run_id] = looks
            except Exception as error:  # noqa: BLE001  # images and units tell of themselves: `sd watch` counts them
                logger.warning("Whether %s has ended, or that it has, could not be told: %s", run_id, error)

    def close(self) -> None:
        """Sees to it that what this machine has done is told."""
        for run_id in [*self._open]:
            self._close(run_id)

    def _close(self, run_id: str) -> None:
        if batch := self._open.pop(run_id, None):
            batch.share.close()

    def _opened(self, run_id: str) -> OpenBatch:
        if run_id not in self._open:
            keys = RunKeys(run_id)
            self._open[run_id] = OpenBatch(
                keys,
                Share(self._settings, self._parameters, self._bucket, keys),
                BatchSpending(self._bucket, keys, instance_id=self._settings.instance_id),
            )
        return self._open[run_id]
