"""`python3 -m userdata.boot.after_worker`: decides what becomes of the machine when its worker has ended.

systemd runs it as the unit's `ExecStopPost` and says how the worker ended in `SERVICE_RESULT`, `EXIT_CODE` and
`EXIT_STATUS` (systemd.exec(5)).
"""

from __future__ import annotations

import logging
import os
import threading
from datetime import datetime
from enum import Enum
from typing import Mapping, Optional

from userdata.boot.fetch.bucket import PLAIN, Bucket
from userdata.boot.fetch.cache import read_notes
from userdata.boot.machine.commands import CommandError, answer_of
from userdata.boot.machine.power_off import KEEP, power_off
from userdata.boot.machine.step_error import StepError
from userdata.boot.steps.worker_unit import CACHE_UNIT, SYSTEMCTL_SECONDS
from userdata.boot.telling.log_lines import start_log
from userdata.boot.telling.run_status import RunStatus
from userdata.contract.layout import Folders
from userdata.contract.parameter_file import read_parameters
from userdata.contract.status import ENDED_EARLY, Failure, log_tail

logger = logging.getLogger(__name__)
TERMINATED = "143"
# systemd ends this after the unit's TimeoutStopSec, and with it the power-off that is still to come: a bucket that does
# not answer must not use that time up.
GOING_DOWN_SECONDS = 20
TELLING_SECONDS = 60.0


class Ending(Enum):
    """How the worker ended."""

    FINISHED = "finished"
    STOPPED = "stopped from outside"
    FAILED = "failed"


def ending_of(environment: Mapping[str, str], *, going_down: bool = False) -> Ending:
    """How the worker ended, by systemd's variables; `going_down` says that the machine is being shut down.

    A worker that needed longer than systemd waits at a shutdown was interrupted; it did not fail.
    """
    result = environment.get("SERVICE_RESULT", "")
    code = environment.get("EXIT_CODE", "")
    status = environment.get("EXIT_STATUS", "")
    if result == "success":
        return Ending.FINISHED if (code, status) == ("exited", "0") else Ending.STOPPED
    if going_down and (code == "killed" or status == TERMINATED):
        return Ending.STOPPED
    return Ending.FAILED


def after_worker(folders: Folders, environment: Mapping[str, str]) -> None:
    """Powers the machine off as `AfterRun` and `OnFailure` ask, after making sure that a failure is told.

    `AfterRun` `terminate` needs nothing here: the instance's shutdown behaviour says what a power-off means.
    """
    going_down = _going_down()
    ending = ending_of(environment, going_down=going_down)
    logger.info("the worker has %s", ending.value)
    if ending is Ending.STOPPED:
        return
    parameters = deployed_parameters(folders)
    if ending is Ending.FAILED:
        telling = threading.Thread(target=_try_to_tell, args=(folders, parameters, environment), daemon=True)
        telling.start()
        telling.join(TELLING_SECONDS)
        if telling.is_alive():
            logger.error("the failure could not be told within %g s", TELLING_SECONDS)
    if ending is Ending.FINISHED and not going_down and _saves_cache(folders):
        return  # userdata.boot.after_cache powers off
    choice = "AfterRun" if ending is Ending.FINISHED else "OnFailure"
    if parameters.get(choice) == KEEP:
        logger.info("%s is keep: the machine goes on running", choice)
        return
    power_off(f"the worker has {ending.value}")


def deployed_parameters(folders: Folders) -> dict[str, str]:
    """The parameters that the machine runs for; none, and a word in the log, where they cannot be read."""
    try:
        return read_parameters(folders.parameters)
    except (OSError, ValueError) as error:
        logger.error("the parameters cannot be read: %s", error)
        return {}


def _saves_cache(folders: Folders) -> bool:
    """Whether there was something to keep for the next machine, and its keeping was started."""
    if not any(entry.wanted for entry in read_notes(folders.cache_notes)):
        return False
    try:
        answer_of(["systemctl", "start", CACHE_UNIT], seconds=SYSTEMCTL_SECONDS)
    except CommandError as error:
        logger.warning("nothing is kept for the next machine: %s", error)
        return False
    logger.info("keeping the environment and the weights for the next machine")
    return True


def _going_down() -> bool:
    try:
        answer_of(["systemctl", "is-system-running"], seconds=GOING_DOWN_SECONDS)
    except CommandError as error:
        return error.output == "stopping"  # every state but `running` is also an exit code
    return False


def _try_to_tell(folders: Folders, parameters: Mapping[str, str], environment: Mapping[str, str]) -> None:
    try:
        _tell_failure(folders, parameters, environment)
    except Exception as error:  # noqa: BLE001  # telling may fail in any way; the machine powers off regardless
        logger.error("the failure could not be told: %s", error)


def _tell_failure(folders: Folders, parameters: Mapping[str, str], environment: Mapping[str, str]) -> None:
    bucket = Bucket(environment["SD_BUCKET"])
    found = bucket.get(RunStatus.key(parameters))
    run = RunStatus.of(parameters, instance_id=environment["SD_INSTANCE_ID"], found=found)
    phase = run.status.phase
    if run.done or (phase in ENDED_EARLY and _is_of_this_boot(run.status.updated_at, environment)):
        return  # the worker has told everything itself
    log = _log(folders)
    failure = Failure(
        step="worker" if phase in ENDED_EARLY else phase, message=_explain(environment), log_tail=log_tail(log or "")
    )
    document = run.fail(failure)
    if document:
        bucket.put(run.keys.status, document)
    if log is not None:
        bucket.put(run.keys.log, log, PLAIN)


def _is_of_this_boot(updated_at: str, environment: Mapping[str, str]) -> bool:
    """Whether a status was written by what this boot has started, and not by an earlier attempt at the same run."""
    return _moment(updated_at) >= _moment(environment["SD_BOOT_STARTED_AT"])


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))  # Python 3.9 does not read the Z


def _log(folders: Folders) -> Optional[str]:
    try:
        return folders.worker_log.read_text("utf-8", errors="replace")
    except OSError as error:
        logger.warning("the worker's log cannot be read: %s", error)
        return None


def _explain(environment: Mapping[str, str]) -> str:
    result = environment.get("SERVICE_RESULT", "unknown")
    status = environment.get("EXIT_STATUS", "")
    if result == "oom-kill":
        return (
            "The worker was ended because the machine ran out of memory. Ask for smaller images or fewer Samples, or "
            "choose a larger InstanceType."
        )
    how = f"was killed by signal {status}" if environment.get("EXIT_CODE") == "killed" else f"ended with {status}"
    return (
        f"The worker {how} (systemd: {result}) before its work was done. The log says more; to go on with the missing "
        "images, start the instance."
    )


if __name__ == "__main__":
    start_log()
    try:
        after_worker(Folders(), os.environ)
    except StepError as error:
        logger.error("%s", error)
