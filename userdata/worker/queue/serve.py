"""Does what the queues ask for, one message after the other, until the machine is idle."""

from __future__ import annotations

import contextlib
import logging
import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime

from userdata.contract.tries import MOST_FAILURES, Tries
from userdata.contract.work import BATCH, Release, UnitOfBatch, WholeRun, read_work
from userdata.worker.batch.batches import Batches, TellEnded
from userdata.worker.batch.ended import Ended
from userdata.worker.between.task import Draws
from userdata.worker.bucket.bucket import Bucket
from userdata.worker.bucket.passing_errors import AWS_ERRORS
from userdata.worker.process.settings import Settings
from userdata.worker.queue.inbox import Inbox
from userdata.worker.queue.lease import Lease
from userdata.worker.queue.noted import noted, told, tries_before
from userdata.worker.queue.provider import Provider
from userdata.worker.queue.queues import Message, Queues
from userdata.worker.queue.whole_run import do_whole_run
from userdata.worker.run.run import Outcome, Queued
from userdata.worker.staying_up.idle import Use

logger = logging.getLogger(__name__)
# How long work rests whose failure may be the machine's or the bucket's, and may pass.
REST_SECONDS = 30


class DeviceLostError(Exception):
    """The GPU can no longer be used by this process, so that its end must be a failure."""


class Serving:
    """Does the work of the queues with what `loaded` keeps, on the machine of `settings`, deployed with `parameters`.

    `stop`, once set, ends it all. `uses` keep the machine up without work. The machine waits `idle_seconds` for the
    next message, which begin anew after each; with `stays` it waits without end. `batch_ended` is called once for each
    batch, by the machine that sees its end first. `started_for_queues` says that the machine has done nothing since its
    boot, so that the boot's cost is that of the batch that it begins with.
    """

    def __init__(
        self,
        settings: Settings,
        parameters: Mapping[str, str],
        stop: threading.Event,
        *,
        queues: Queues,
        bucket: Bucket,
        loaded: Draws,
        uses: Sequence[Use],
        idle_seconds: float,
        stays: bool = False,
        batch_ended: TellEnded = lambda _batch, _ended: None,
        started_for_queues: bool = False,
    ) -> None:
        self._settings = settings
        self._parameters = parameters
        self._stop = stop
        self._queues = queues
        self._bucket = bucket
        self._loaded = loaded
        self._idle_seconds = idle_seconds
        self._from_boot = started_for_queues
        self._rests_until = -math.inf
        self._provider = Provider(settings, parameters, stop)
        self._batches = Batches(
            settings,
            parameters,
            stop,
            bucket=bucket,
            loaded=loaded,
            provide=lambda job, run_id: self._provider.provide(job, batch=run_id),
            send=queues.send,
            ended=batch_ended,
        )
        self._inbox = Inbox(
            queues,
            stop,
            [self._rests, *uses],
            idle_seconds=math.inf if stays else idle_seconds,
            settle=self._settle,
            nothing_left=self._batches.look_for_ends,
        )
        self._background = ThreadPoolExecutor(1, thread_name_prefix="end of a unit")
        self._ending: Future[None] | None = None
        self._ending_body = ""

    def serve(self) -> None:
        """Returns when the machine has been idle, or is asked to stop. Raises `DeviceLostError`."""
        try:
            while lease := self._inbox.next():
                self._do(lease)
        finally:
            self._inbox.close()
            self._settle()
            self._batches.close()

    def _do(self, lease: Lease) -> None:
        """Does what a message asks for to its end, and what goes first in between. The message goes last."""
        if lease.message.body == self._ending_body:
            self._settle()  # the same message once more: only at its end the bucket tells that the unit is drawn
        if self._batches.should_look:
            self._settle()
            self._batches.look_for_ends()
        tries = Tries(lease.message.body, lease.message.name)
        try:
            tries = tries_before(self._bucket, lease.message)
            attempt = self._attempt_at(lease.message, tries)
        except ValueError as error:
            self._end(lease, tries, Ended(Outcome.FAILED, str(error), sets_aside=True))
            return
        except AWS_ERRORS as error:
            logger.error("The bucket cannot be read: %s", error)
            self._rest(lease)
            return
        while (ended := noted(self._settings, tries, attempt)).outcome is Outcome.GAVE_WAY and not self._stop.is_set():
            if first := self._inbox.first():
                self._do(first)
        if finish := ended.finish:
            self._settle()  # no more than one waits for its uploads, whose images are in memory
            self._ending_body = lease.message.body
            self._ending = self._background.submit(lambda: self._end(lease, tries, told(tries, finish)))
            return
        self._end(lease, tries, ended)
        if ended.outcome.broke and not self._loaded.still_works():
            raise DeviceLostError

    def _attempt_at(self, message: Message, tries: Tries) -> Callable[[], Ended]:
        """An attempt at the work of `message`, to be called again after it gave way."""
        from_boot, self._from_boot = self._from_boot, False
        if tries.failures >= MOST_FAILURES:
            return lambda: Ended(Outcome.FAILED, tries.why, sets_aside=True)
        gives_way = self._inbox.somebody_waits if message.kind == BATCH else lambda: False
        broke_before = tries.failures + 1 >= MOST_FAILURES
        match tries.work:
            case WholeRun(run_id):
                return lambda: do_whole_run(
                    self._settings,
                    self._parameters,
                    self._stop,
                    idle_seconds=self._idle_seconds,
                    bucket=self._bucket,
                    loaded=self._loaded,
                    queued=Queued(run_id, datetime.now(UTC), self._provider.provide, gives_way, broke_before),
                )
            case Release() as release:
                return lambda: self._batches.release(release, gives_way=gives_way)
            case UnitOfBatch() as unit:
                return self._batches.unit(unit, gives_way=gives_way, broke_before=broke_before, from_boot=from_boot)

    def _end(self, lease: Lease, tries: Tries, ended: Ended) -> None:
        """Deletes the message of work that has ended, sets it aside, or gives it back. Raises nothing."""
        outcome = ended.outcome
        try:
            if outcome is Outcome.BROKE:
                self._bucket.put(tries.key, tries.failed(ended.why).to_json().encode())
            elif ended.sets_aside:
                self._set_aside(lease, ended.why)
            elif outcome not in (Outcome.STOPPED, Outcome.GAVE_WAY):
                lease.end()
                self._queues.delete(lease.message)
        except Exception as error:  # noqa: BLE001  # a lease that is never ended would hide the message for 12 hours
            logger.warning("The message comes again, but nothing that is done is repeated: %s", error)
        if outcome is Outcome.BROKE:
            self._rest(lease)
        elif outcome in (Outcome.STOPPED, Outcome.GAVE_WAY):
            lease.give_back()
        lease.end()

    def _set_aside(self, lease: Lease, why: str) -> None:
        with contextlib.suppress(ValueError):  # it points at nothing
            work = read_work(lease.message.body)
            if isinstance(work, UnitOfBatch):
                self._batches.tell_failed(work, why)
        lease.end()
        self._queues.set_aside(lease.message, why)

    def _rest(self, lease: Lease) -> None:
        lease.give_back(after_seconds=REST_SECONDS)
        # Not before, because SQS counts from when it hears of that.
        self._rests_until = time.monotonic() + REST_SECONDS

    def _settle(self) -> None:
        """Returns when no unit is ending in the background."""
        if self._ending:
            self._ending.result()

    def _rests(self) -> str | None:
        """Work that rests keeps the machine up: nobody would start the machine again for its message."""
        return "what failed is tried again" if time.monotonic() < self._rests_until else None
