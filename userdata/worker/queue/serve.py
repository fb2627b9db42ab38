"""Does the runs of the queues: an interactive one first, a batch in between, until the machine is idle."""

from __future__ import annotations

import logging
import math
import shutil
import threading
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from botocore.exceptions import BotoCoreError, ClientError

from userdata.contract.layout import Folders, RunKeys
from userdata.contract.work import BATCH, INTERACTIVE, WAIT_SECONDS, read_message
from userdata.job.run_error import RunError
from userdata.worker.between.task import Draws
from userdata.worker.bucket.bucket import Bucket
from userdata.worker.process.settings import Settings
from userdata.worker.queue.lease import Lease
from userdata.worker.queue.provider import Provider
from userdata.worker.queue.queued_job import failure_of, parameters_of
from userdata.worker.queue.queues import Message, Queues
from userdata.worker.queue.receiver import Receiver
from userdata.worker.run.run import Outcome, Queued, do_run, refuse_run
from userdata.worker.staying_up.idle import Use, wait_until_idle

logger = logging.getLogger(__name__)
LOOK_SECONDS = 0.5
# How long a run rests whose failure may be the machine's or the bucket's, and may pass.
REST_SECONDS = 30


class DeviceLostError(Exception):
    """The GPU can no longer be used by this process, so that its end must be a failure."""


class Serving:
    """Does runs with what `loaded` keeps, on the machine of `settings`, whose deployed parameters are `parameters`.

    `stop`, once set, ends it all. `uses` keep the machine up without a run. The machine waits `idle_seconds` for the
    next run, which begin anew after each; with `stays` it waits without end.
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
    ) -> None:
        self._settings = settings
        self._parameters = parameters
        self._stop = stop
        self._queues = queues
        self._bucket = bucket
        self._loaded = loaded
        self._uses = [self._rests, *uses]
        self._rests_until = -math.inf
        self._idle_seconds = idle_seconds
        self._waits_seconds = math.inf if stays else idle_seconds
        self._provider = Provider(settings, parameters, stop)
        # The runs whose last attempt here broke off. A worker that takes this one's place counts anew; SQS ends it all.
        self._broke: set[str] = set()
        self._woken = threading.Event()
        self._interactive, self._batch = (
            Receiver(queues, kind, self._woken, wait_seconds=math.ceil(min(WAIT_SECONDS, self._waits_seconds)))
            for kind in (INTERACTIVE, BATCH)
        )

    def serve(self) -> None:
        """Returns when the machine has been idle, or is asked to stop. Raises `DeviceLostError`."""
        try:
            while lease := self._next():
                self._do(lease)
        finally:
            for receiver in (self._interactive, self._batch):
                receiver.close()

    def _next(self) -> Lease | None:
        """The next message, or None when there is nothing to wait for any more."""
        done_waiting, idle = threading.Event(), threading.Event()

        def watch() -> None:
            try:
                wait_until_idle(done_waiting, self._uses, idle_seconds=self._waits_seconds)
            except Exception as error:  # noqa: BLE001  # without this thread the machine would never be idle
                logger.error("What uses the machine cannot be told, so it counts as idle: %r", error)
            idle.set()
            self._woken.set()

        threading.Thread(target=watch, name="idle", daemon=True).start()
        try:
            while not self._stop.is_set():
                self._woken.clear()
                self._interactive.ask()
                self._batch.ask()
                if lease := self._interactive.take() or self._batch.take():
                    return lease
                if idle.is_set():
                    # A message that comes after this look stays in its queue: whoever sent it starts the machine again.
                    self._look_again()
                    return self._interactive.take() or self._batch.take()
                self._woken.wait(LOOK_SECONDS)
        finally:
            done_waiting.set()
        return None

    def _look_again(self) -> None:
        threads = [threading.Thread(target=one.look_again) for one in (self._interactive, self._batch)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _do(self, lease: Lease) -> None:
        """Does one run to its end, and those that go first in between. The message goes last."""
        while (outcome := self._noted_attempt(lease.message)) is Outcome.GAVE_WAY and not self._stop.is_set():
            if first := self._interactive.take():
                self._do(first)
        if outcome is Outcome.BROKE:
            lease.give_back(after_seconds=REST_SECONDS)
            self._rests_until = time.monotonic() + REST_SECONDS
        elif outcome in (Outcome.STOPPED, Outcome.GAVE_WAY):
            lease.give_back()
        else:
            self._finish(lease, outcome)
        if outcome.broke and not self._loaded.still_works():
            raise DeviceLostError

    def _noted_attempt(self, message: Message) -> Outcome:
        """An attempt, of which a note lies on the disk: whoever sees this process killed can tell the run's status."""
        note = self._settings.state_directory / Folders().queued_run.name
        note.parent.mkdir(parents=True, exist_ok=True)
        note.write_text(message.body, "utf-8")
        try:
            return self._attempt(message)
        finally:
            note.unlink(missing_ok=True)

    def _attempt(self, message: Message) -> Outcome:
        """How an attempt at the run of `message` ended; FAILED too for a message that points at none."""
        try:
            run_id = read_message(message.body)
        except ValueError as error:
            logger.warning("A message is set aside: %s", error)
            return Outcome.FAILED
        batch = message.kind == BATCH
        queued = Queued(
            run_id,
            began=datetime.now(UTC),
            provide=self._provider.provide,
            gives_way=self._somebody_waits if batch else lambda: False,
            broke_before=run_id in self._broke,
        )
        try:
            try:
                parameters = parameters_of(self._bucket, run_id, self._parameters)
            except RunError as error:
                return refuse_run(self._settings, self._bucket, run_id, error)
            outcome = do_run(
                self._settings,
                parameters,
                self._stop,
                idle_seconds=self._idle_seconds,
                bucket=self._bucket,
                loaded=self._loaded,
                queued=queued,
            )
            (self._broke.add if outcome is Outcome.BROKE else self._broke.discard)(run_id)
            return outcome
        except Exception as error:  # noqa: BLE001
            # The bucket cannot be reached, or the disk takes not even a log: whatever it is, others may go better.
            logger.error("The run %s failed before or while telling so in the bucket: %s", run_id, error)
            return Outcome.BROKE

    def _rests(self) -> str | None:
        """A run that rests keeps the machine up: nobody would start the machine again for its message."""
        return "a run that failed is tried again" if time.monotonic() < self._rests_until else None

    def _somebody_waits(self) -> bool:
        self._interactive.ask()
        return self._interactive.has_one()

    def _finish(self, lease: Lease, outcome: Outcome) -> None:
        """Deletes the message of a run that has ended, or sets it aside where somebody must look at it."""
        message = lease.message
        lease.end()
        try:
            if reason := self._why_set_aside(message, outcome):
                self._queues.set_aside(message, reason)
            else:
                self._queues.delete(message)
        except (BotoCoreError, ClientError) as error:
            logger.warning("The message comes again, but nothing that is done is repeated: %s", error)
        if outcome is Outcome.DONE:
            # All of it is in the bucket, and the disk must last for many runs.
            folder = self._settings.state_directory / RunKeys(read_message(message.body)).prefix
            shutil.rmtree(folder, ignore_errors=True)

    def _why_set_aside(self, message: Message, outcome: Outcome) -> str | None:
        try:
            run_id = read_message(message.body)
        except ValueError as error:
            return str(error)
        return failure_of(self._bucket, run_id) if outcome is Outcome.BROKE_AGAIN else None
