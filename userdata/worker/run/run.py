"""Does a run, or what is left of it: from parameters to images, grid, report and status in the bucket."""

from __future__ import annotations

import errno
import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Any

from userdata.bill.cost import earlier_receipts
from userdata.contract.layout import MOST_IMAGES, Folders, RunKeys
from userdata.contract.run_name import run_name
from userdata.contract.status import Failure, read_status
from userdata.job.job import Job
from userdata.job.run_error import GaveWay, MaxSpendReached, PassingRunError, RunError, Stopped
from userdata.worker.between.task import Draws
from userdata.worker.bucket.bucket import Bucket
from userdata.worker.process.settings import Settings
from userdata.worker.run.attempt import Attempt
from userdata.worker.run.ledger import Ledger
from userdata.worker.run.limits import Limits
from userdata.worker.run.max_spend import read_spending
from userdata.worker.run.progress import Progress, continued_status
from userdata.worker.run.report import read_boot_phases
from userdata.worker.run.run_files import RunFiles
from userdata.worker.run.run_log import RunLog
from userdata.worker.run.run_request import read_run_request

logger = logging.getLogger(__name__)


class Outcome(Enum):
    """How the worker's part of a run ended."""

    DONE = "done"
    CAPPED = "ended at MaxSpend"
    STOPPED = "stopped, to be resumed"
    GAVE_WAY = "waits for another run, to be resumed"
    FAILED = "failed"
    BROKE = "failed, perhaps for the machine's sake"
    BROKE_AGAIN = "failed as BROKE says, and had failed before"

    @property
    def failed(self) -> bool:
        """Whether the run has failed, for whatever reason."""
        return self is Outcome.FAILED or self.broke

    @property
    def broke(self) -> bool:
        """Whether the cause may be the machine or the bucket."""
        return self in (Outcome.BROKE, Outcome.BROKE_AGAIN)


@dataclass(frozen=True)
class Queued:
    """A run that a message asks for, on a machine that is up already.

    `run_id` is its name, and it costs from `began` on. `provide` finds or fetches what its job is drawn with, and calls
    its second argument when it has to fetch. `gives_way` tells, between two batches, whether another run goes first.
    `broke_before` says that an earlier attempt broke off for a reason that may have been the machine's or the bucket's.
    """

    run_id: str
    began: datetime
    provide: Callable[[Job, Callable[[], None]], Settings]
    gives_way: Callable[[], bool]
    broke_before: bool = False


def do_run(
    settings: Settings,
    parameters: Mapping[str, str],
    stop: threading.Event,
    *,
    idle_seconds: float = 0,
    bucket: Bucket | None = None,
    loaded: Draws | None = None,
    queued: Queued | None = None,
) -> Outcome:
    """Does the run that `parameters` ask for, or what is left of it. Leaves a run that is done as it is.

    `parameters` are the job's and the machine's by their names. `stop`, once set, ends the work within a denoising
    step. For `idle_seconds` the machine stays up afterwards, which counts for MaxSpend. The run's status and log tell
    of a failure. `bucket` and `loaded` are those of a process that does several runs. Without `queued` it is the
    deployed run. Raises botocore's errors when the bucket cannot be read or the status cannot be written.
    """
    bucket = bucket.counted_anew() if bucket else Bucket(settings.bucket)
    run_id = queued.run_id if queued else run_name(parameters)
    keys = RunKeys(run_id, from_image=bool(parameters.get("InitImage")))
    found = bucket.get(keys.status)
    if _is_done(bucket, keys, found):
        logger.info("The run %s is done already: nothing is repeated", keys.run_id)
        return Outcome.DONE
    with RunLog(bucket, keys.log, settings.state_directory) as log:
        reached: MaxSpendReached | None = None
        try:
            request = read_run_request(bucket, parameters, run_id=run_id)
        except RunError as error:
            return _refuse(error, settings, keys, bucket, found, log)
        progress = _progress(settings, keys, bucket, found, images_total=len(request.images))
        try:
            earlier = earlier_receipts(bucket.get(keys.report))
            ledger = Ledger(settings, bucket, parameters, began=queued.began if queued else None, earlier=earlier)
            spending = read_spending(parameters, ledger, idle_seconds=idle_seconds)
            limits = Limits(stop, spending, queued.gives_way) if queued else Limits(stop, spending)
            if queued:
                settings = queued.provide(request.job, lambda: progress.enter("weights"))
            files = RunFiles(keys, bucket, settings.state_directory)
            before = [] if queued else read_boot_phases(Folders().boot_timeline)
            if loaded is None:
                from userdata.worker.loaded.loaded import Loaded  # what draws, in this process

                loaded = Loaded()
            Attempt(settings, request, files, progress, ledger, limits, loaded, phases_before=before).do()
            outcome = Outcome.DONE
        except MaxSpendReached as error:
            logger.info("%s", error)
            outcome, reached = Outcome.CAPPED, error
        except GaveWay:
            logger.info("Another run goes first: this one goes on afterwards")
            progress.pause()
            outcome = Outcome.GAVE_WAY
        except Stopped:
            logger.info("Asked to stop: the saved images are uploaded, and the next start goes on")
            progress.pause()
            outcome = Outcome.STOPPED
        except Exception as error:  # whatever it is, it must be told
            outcome = outcome_of(error, broke_before=bool(queued and queued.broke_before))
            if queued and outcome is Outcome.BROKE:
                # Not told as a failure, because whoever waits for the run would go, and it is tried again.
                logger.error("This attempt broke off, and another one follows: %s", error, exc_info=error)
                progress.pause()
            else:
                _tell_failure(error, progress.phase, progress, log)
        log.close_and_upload()
        if outcome is Outcome.DONE:
            progress.enter("done")  # the very last object to be written: when a reader sees it, all others exist
        elif reached:
            progress.cap(str(reached), reached.max_usd)  # for the same reason
        progress.close()
        return outcome


def refuse_run(settings: Settings, bucket: Bucket, run_id: str, error: RunError) -> Outcome:
    """Tells in the run's status why a run that a message asks for cannot be drawn."""
    keys = RunKeys(run_id)
    with RunLog(bucket, keys.log, settings.state_directory) as log:
        return _refuse(error, settings, keys, bucket, bucket.get(keys.status), log)


def _refuse(
    error: RunError, settings: Settings, keys: RunKeys, bucket: Bucket, found: bytes | None, log: RunLog
) -> Outcome:
    progress = _progress(settings, keys, bucket, found, images_total=0)
    _tell_failure(error, "job", progress, log)
    log.close_and_upload()
    progress.close()
    return Outcome.FAILED


def outcome_of(error: Exception, *, broke_before: bool) -> Outcome:
    """How work from a queue ended that `error` has ended; `broke_before` says that it has failed before."""
    if isinstance(error, RunError) and not isinstance(error, PassingRunError):
        return Outcome.FAILED
    return Outcome.BROKE_AGAIN if broke_before else Outcome.BROKE


def in_words(error: Exception, *, look: str) -> str:
    """What a failure is to a person; `look` says where to look for more."""
    if isinstance(error, RunError):
        return str(error)
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return f"The disk is full ({error}). Deploy again with a larger VolumeSize; images in the bucket stay."
    return f"Something unforeseen happened ({type(error).__name__}: {error}). {look}"


def _progress(settings: Settings, keys: RunKeys, bucket: Bucket, found: bytes | None, *, images_total: int) -> Progress:
    status = continued_status(found, run_id=keys.run_id, instance_id=settings.instance_id, images_total=images_total)
    return Progress(bucket, keys, status)


def _tell_failure(error: Exception, step: str, progress: Progress, log: RunLog) -> None:
    message = in_words(error, look="log.txt of this run says where.")
    foreseen = isinstance(error, RunError) or (isinstance(error, OSError) and error.errno == errno.ENOSPC)
    logger.error("%s: %s", step, message, exc_info=None if foreseen else error)
    progress.fail(Failure(step=step, message=message, log_tail=log.tail()))


def _told(status: bytes | None) -> dict[str, Any]:
    """What a status.json tells; nothing when it is none."""
    try:
        return read_status(status) if status else {}
    except ValueError:
        return {}


def _is_done(bucket: Bucket, keys: RunKeys, status: bytes | None) -> bool:
    told = _told(status)
    try:
        phase, total = told["phase"], int(told["images_total"])
    except (KeyError, TypeError, ValueError):
        return False
    if phase != "done" or not 0 <= total <= MOST_IMAGES:
        return False
    wanted = {keys.image(index) for index in range(total)}
    return wanted <= bucket.keys(keys.samples_folder)
