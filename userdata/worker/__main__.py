"""`python -m userdata.worker`: does the deployed run, then what the queues hold, waits for the idle time, and ends.

Ends with 0 when the run is done, or has ended at MaxSpend, and the idle time is over, with 1 when it failed, and with
143 when it was asked to stop (SIGTERM), whether or not work is left: the unit counts that as stopped from outside,
which powers nothing off.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from collections.abc import Mapping

from userdata.contract.layout import Folders
from userdata.contract.log_lines import log_format
from userdata.contract.parameter_file import read_parameters
from userdata.contract.work import PARAMETER as QUEUES
from userdata.contract.worker_environment import STAYS
from userdata.fleet.market import Market
from userdata.job.run_error import RunError, Stopped
from userdata.worker.batch.notice import mail_that_it_ended
from userdata.worker.between.drawing_process import DrawingProcess
from userdata.worker.between.task import Draws
from userdata.worker.bucket.bucket import Bucket
from userdata.worker.process.settings import Settings, wait_for_settings
from userdata.worker.queue.queues import Queues
from userdata.worker.queue.serve import DeviceLostError, Serving
from userdata.worker.run.run import Outcome, do_run
from userdata.worker.staying_up.idle import uses_of_this_machine, wait_until_idle
from userdata.worker.staying_up.in_a_fleet import tell_lost, watch_fleet
from userdata.worker.staying_up.spot_notice import SpotNotice

logger = logging.getLogger("userdata.worker")

ASKED_TO_STOP = 128 + signal.SIGTERM


def main() -> int:
    """The exit code."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(log_format())
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    for name in ("boto3", "botocore", "urllib3"):
        logging.getLogger(name).setLevel(logging.WARNING)
    stop = threading.Event()
    # On another thread: this one may be in `stop.wait`, and then holds the lock that `stop.set` waits for.
    signal.signal(signal.SIGTERM, lambda _signal, _frame: threading.Thread(target=stop.set, daemon=True).start())
    SpotNotice(stop, tell=tell_lost).watch()
    try:
        folders = Folders()
        parameters = read_parameters(folders.parameters)
        # Before anything is waited for: the libraries that draw take seconds to import.
        loaded = DrawingProcess.start(os.environ, stays=bool(parameters.get(QUEUES)))
        idle_seconds = _idle_seconds(parameters)
        settings = wait_for_settings(folders, os.environ, stop)
        # Of a queued run that a power cut ended; its message comes again.
        (settings.state_directory / folders.queued_run.name).unlink(missing_ok=True)
        bucket = Bucket(settings.bucket)
        if Market.read(parameters):  # a machine of a fleet does the queues' runs alone
            outcome = Outcome.DONE
        else:
            outcome = do_run(settings, parameters, stop, idle_seconds=idle_seconds, bucket=bucket, loaded=loaded)
    except Stopped:
        return ASKED_TO_STOP
    except RunError as error:
        logger.error("%s", error)
        return 1
    except Exception:
        logger.exception("The worker failed before or while telling so in the bucket")
        return 1
    # After a failure there is no idle time, but what the queues hold is done, and a machine in use stays up.
    idle_seconds = 0 if outcome.failed else idle_seconds
    try:
        if outcome.broke and not loaded.still_works():
            return 1  # what the queues hold would fail as well
        if not stop.is_set():
            _stay_up(settings, parameters, stop, idle_seconds, bucket=bucket, loaded=loaded)
    except DeviceLostError:
        return 1
    except Exception:
        logger.exception("The worker failed while it stayed up")
        return 1
    if outcome.failed:
        return 1
    return ASKED_TO_STOP if stop.is_set() else 0


def _stay_up(
    settings: Settings,
    parameters: Mapping[str, str],
    stop: threading.Event,
    idle_seconds: float,
    *,
    bucket: Bucket,
    loaded: Draws,
) -> None:
    """Does what the queues hold, if the stack has queues, and waits out the idle time."""
    stays = STAYS in os.environ
    if stays:
        logger.info("The machine stays up, and the queues are asked until it goes")
    elif idle_seconds:
        logger.info("Idle for %g minutes", idle_seconds / 60)
    uses = uses_of_this_machine(bucket, settings.instance_id)
    prefix = parameters.get(QUEUES)
    if not prefix:
        wait_until_idle(stop, uses, idle_seconds=idle_seconds)
        return
    watch_fleet(parameters, stop)
    Serving(
        settings,
        parameters,
        stop,
        queues=Queues(prefix),
        bucket=bucket,
        loaded=loaded,
        uses=uses,
        idle_seconds=idle_seconds,
        stays=stays,
        batch_ended=mail_that_it_ended(parameters, bucket),
        started_for_queues=Market.read(parameters) is not None,
    ).serve()


def _idle_seconds(parameters: Mapping[str, str]) -> float:
    text = parameters.get("IdleMinutes", "0")
    try:
        return max(0.0, float(text)) * 60
    except ValueError:
        raise RunError(f"IdleMinutes is {text!r}, but must be a number of minutes, for example 5.") from None


if __name__ == "__main__":
    code = main()
    logging.shutdown()
    # Not sys.exit, which would wait for threads that still ask a bucket or a queue, on a machine that is paid for.
    # Nothing is left to do, because the worker has waited for every upload.
    os._exit(code)
