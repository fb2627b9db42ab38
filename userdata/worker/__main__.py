"""`python -m userdata.worker`: does the deployed run, waits for the idle time, and ends.

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
from userdata.job.run_error import RunError, Stopped
from userdata.worker.bucket.bucket import Bucket
from userdata.worker.imports_ahead import start_imports
from userdata.worker.process.compiled_kernels import begin_with
from userdata.worker.process.library_environment import LIBRARY_ENVIRONMENT
from userdata.worker.process.settings import Settings, wait_for_settings
from userdata.worker.run.run import do_run
from userdata.worker.staying_up.idle import uses_of_this_machine, wait_until_idle
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
    os.environ.update(LIBRARY_ENVIRONMENT)
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda _signal, _frame: stop.set())
    SpotNotice(stop).watch()
    try:
        folders = Folders()
        parameters = read_parameters(folders.parameters)
        start_imports()
        idle_seconds = _idle_seconds(parameters)
        settings = wait_for_settings(folders, os.environ, stop)
        begin_with(settings.compiled, settings.state_directory / "compiled")
        outcome = do_run(settings, parameters, stop, idle_seconds=idle_seconds)
    except Stopped:
        return ASKED_TO_STOP
    except RunError as error:
        logger.error("%s", error)
        return 1
    except Exception:
        logger.exception("The worker failed before or while telling so in the bucket")
        return 1
    _stay_up(settings, stop, 0 if outcome.failed else idle_seconds)
    if outcome.failed:
        return 1
    return ASKED_TO_STOP if stop.is_set() else 0


def _stay_up(settings: Settings, stop: threading.Event, idle_seconds: float) -> None:
    """Waits out the idle time. After a failure that time is 0, but a machine in use stays up for its user."""
    if stop.is_set():
        return
    if idle_seconds:
        logger.info("Idle for %g minutes", idle_seconds / 60)
    uses = uses_of_this_machine(Bucket(settings.bucket), settings.instance_id)
    wait_until_idle(stop, uses, idle_seconds=idle_seconds)


def _idle_seconds(parameters: Mapping[str, str]) -> float:
    text = parameters.get("IdleMinutes", "0")
    try:
        return max(0.0, float(text)) * 60
    except ValueError:
        raise RunError(f"IdleMinutes is {text!r}, but must be a number of minutes, for example 5.") from None


if __name__ == "__main__":
    code = main()
    logging.shutdown()
    # Not sys.exit: ending an interpreter with torch in it takes seconds of a machine that is paid for. Nothing is left
    # to do, because the worker has waited for every upload.
    os._exit(code)
