"""Does the deployed run, or what is left of it: from parameters to images, grid, report and status in the bucket."""

from __future__ import annotations

import errno
import json
import logging
import threading
from collections.abc import Mapping
from enum import Enum

from userdata.contract.layout import RunKeys
from userdata.contract.run_name import run_name
from userdata.contract.status import Failure
from userdata.job.run_error import MaxSpendReached, RunError, Stopped
from userdata.worker.bucket.bucket import Bucket
from userdata.worker.process.settings import Settings
from userdata.worker.run.attempt import Attempt
from userdata.worker.run.ledger import Ledger
from userdata.worker.run.limits import Limits
from userdata.worker.run.max_spend import read_spending
from userdata.worker.run.progress import Progress, continued_status
from userdata.worker.run.run_files import RunFiles
from userdata.worker.run.run_log import RunLog
from userdata.worker.run.run_request import read_run_request

logger = logging.getLogger(__name__)


class Outcome(Enum):
    """How the worker's part of a run ended."""

    DONE = "done"
    CAPPED = "ended at MaxSpend"
    STOPPED = "stopped, to be resumed"
    FAILED = "failed"


def do_run(
    settings: Settings, parameters: Mapping[str, str], stop: threading.Event, *, idle_seconds: float = 0
) -> Outcome:
    """Does the run that `parameters` ask for, or what is left of it. Leaves a run that is done as it is.

    `parameters` are the deployed ones by their names, the machine's included. `stop`, once set, ends the work within
    a denoising step. For `idle_seconds` the machine stays up afterwards, which counts for MaxSpend. The run's status
    and log tell of a failure. Raises botocore's errors when the bucket cannot be read or the status cannot be written.
    """
    bucket = Bucket(settings.bucket)
    keys = RunKeys(run_name(parameters), from_image=bool(parameters.get("InitImage")))
    found = bucket.get(keys.status)
    if _is_done(bucket, keys, found):
        logger.info("The run %s is done already: nothing is repeated", keys.run_id)
        return Outcome.DONE
    log = RunLog(bucket, keys.log, settings.state_directory)
    reached: MaxSpendReached | None = None
    try:
        request = read_run_request(bucket, parameters)
    except RunError as error:
        return _refuse(error, settings, keys, bucket, found, log)
    progress = _progress(settings, keys, bucket, found, images_total=len(request.images))
    try:
        ledger = Ledger(settings, bucket, keys, parameters)
        limits = Limits(stop, read_spending(parameters, ledger, idle_seconds=idle_seconds))
        files = RunFiles(keys, bucket, settings.state_directory)
        Attempt(settings, request, files, progress, ledger, limits).do()
        outcome = Outcome.DONE
    except MaxSpendReached as error:
        logger.info("%s", error)
        outcome, reached = Outcome.CAPPED, error
    except Stopped:
        logger.info("Asked to stop: the saved images are uploaded, and the next start goes on")
        progress.pause()
        outcome = Outcome.STOPPED
    except Exception as error:  # noqa: BLE001  # whatever it is, the status must tell it
        _tell_failure(error, progress.phase, progress, log)
        outcome = Outcome.FAILED
    log.close_and_upload()
    if outcome is Outcome.DONE:
        progress.enter("done")  # the very last object to be written: when a reader sees it, all others exist
    elif reached:
        progress.cap(str(reached), reached.max_usd)  # for the same reason
    progress.close()
    return outcome


def _refuse(
    error: RunError, settings: Settings, keys: RunKeys, bucket: Bucket, found: bytes | None, log: RunLog
) -> Outcome:
    progress = _progress(settings, keys, bucket, found, images_total=0)
    _tell_failure(error, "job", progress, log)
    log.close_and_upload()
    progress.close()
    return Outcome.FAILED


def _progress(settings: Settings, keys: RunKeys, bucket: Bucket, found: bytes | None, *, images_total: int) -> Progress:
    status = continued_status(found, run_id=keys.run_id, instance_id=settings.instance_id, images_total=images_total)
    return Progress(bucket, keys, status)


def _tell_failure(error: Exception, step: str, progress: Progress, log: RunLog) -> None:
    if isinstance(error, RunError):
        message = str(error)
        logger.error("%s: %s", step, message)
    elif isinstance(error, OSError) and error.errno == errno.ENOSPC:
        message = f"The disk is full ({error}). Deploy again with a larger VolumeSize; images in the bucket stay."
        logger.error("%s: %s", step, message)
    else:
        message = f"Something unforeseen happened ({type(error).__name__}: {error}). log.txt of this run says where."
        logger.error("%s: %s", step, message, exc_info=error)
    progress.fail(Failure(step=step, message=message, log_tail=log.tail()))


def _is_done(bucket: Bucket, keys: RunKeys, status: bytes | None) -> bool:
    if status is None:
        return False
    try:
        told = json.loads(status)
        phase, total = told["phase"], int(told["images_total"])
    except (KeyError, TypeError, ValueError):
        return False
    wanted = {keys.image(index) for index in range(total)}
    return phase == "done" and wanted <= bucket.keys(keys.samples_folder)
