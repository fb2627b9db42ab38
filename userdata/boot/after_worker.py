"""`python3 -m userdata.boot.after_worker`: decides whether the machine powers off when its worker has ended.

systemd runs it as the unit's `ExecStopPost` and says how the worker ended in `SERVICE_RESULT`, `EXIT_CODE` and
`EXIT_STATUS` (systemd.exec(5)).
"""

from __future__ import annotations

import logging
import os
import threading
from enum import Enum
from typing import Mapping, Optional

from userdata.boot.fetch.bucket import PLAIN, Bucket
from userdata.boot.fetch.cache import read_notes
from userdata.boot.machine.commands import CommandError, answer_of
from userdata.boot.machine.deployed import KEEP, deployed_parameters
from userdata.boot.machine.power_off import power_off
from userdata.boot.machine.step_error import StepError
from userdata.boot.steps.worker_unit import CACHE_UNIT, SYSTEMCTL_SECONDS, serve_on
from userdata.boot.telling.boot_log import start_log
from userdata.boot.telling.run_status import RunStatus
from userdata.contract.layout import Folders, RunKeys
from userdata.contract.outside import read_utc
from userdata.contract.status import ENDED_EARLY, Failure, log_tail
from userdata.contract.tries import Tries, read_tries
from userdata.contract.work import PARAMETER as QUEUES
from userdata.contract.work import WholeRun
from userdata.contract.worker_environment import WorkerEnvironment
from userdata.fleet.market import Market

logger = logging.getLogger(__name__)
TERMINATED = "143"
# systemd ends this module after the unit's TimeoutStopSec, powered off or not: a bucket that does not answer must not
# use that time up, of which leaving a fleet may take 20 seconds.
GOING_DOWN_SECONDS = 20
TELLING_SECONDS = 45.0


class Ending(Enum):
    """How the worker ended."""

    FINISHED = "finished"
    STOPPED = "stopped from outside"
    FAILED = "failed"


def ending_of(variables: Mapping[str, str], *, going_down: bool = False) -> Ending:
    """How the worker ended, by systemd's variables; `going_down` says that the machine is being shut down.

    A worker that systemd killed at a shutdown, because the worker needed longer than systemd waits, did not fail.
    """
    result = variables.get("SERVICE_RESULT", "")
    code = variables.get("EXIT_CODE", "")
    status = variables.get("EXIT_STATUS", "")
    if result == "success":
        return Ending.FINISHED if (code, status) == ("exited", "0") else Ending.STOPPED
    if going_down and (code == "killed" or status == TERMINATED):
        return Ending.STOPPED
    return Ending.FAILED


def after_worker(folders: Folders, variables: Mapping[str, str]) -> None:
    """Powers the machine off as `AfterRun` and `OnFailure` ask, after making sure that a failure is told.

    `variables` are systemd's and those of the worker's environment.
    `AfterRun` `terminate` needs nothing here: the instance's shutdown behaviour says what a power-off means.
    """
    going_down = _going_down()
    ending = ending_of(variables, going_down=going_down)
    logger.info("the worker has %s", ending.value)
    if ending is Ending.STOPPED:
        return
    parameters = deployed_parameters(folders)
    if ending is Ending.FAILED:
        telling = threading.Thread(target=_try_to_tell, args=(folders, parameters, variables), daemon=True)
        telling.start()
        telling.join(TELLING_SECONDS)
        if telling.is_alive():
            logger.error("the failure could not be told within %g s", TELLING_SECONDS)
    if ending is Ending.FINISHED and not going_down and _saves_cache(folders):
        return  # userdata.boot.after_cache powers off
    choice = "AfterRun" if ending is Ending.FINISHED else "OnFailure"
    if parameters.get(choice) == KEEP:
        logger.info("%s is keep: the machine goes on running", choice)
        if ending is Ending.FINISHED and parameters.get(QUEUES) and not going_down:
            serve_on(folders)
        return
    failure = None if ending is Ending.FINISHED else _explain(variables)
    power_off(f"the worker has {ending.value}", parameters, failure=failure)


def _saves_cache(folders: Folders) -> bool:
    """Whether this machine has something to keep for the next one, and sd-cache.service was started to keep it."""
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


def _try_to_tell(folders: Folders, parameters: Mapping[str, str], variables: Mapping[str, str]) -> None:
    try:
        _tell_failure(folders, parameters, variables)
    except Exception as error:  # noqa: BLE001  # telling may fail in any way; the machine powers off regardless
        logger.error("the failure could not be told: %s", error)


def _tell_failure(folders: Folders, parameters: Mapping[str, str], variables: Mapping[str, str]) -> None:
    environment = WorkerEnvironment.read(variables)
    bucket = Bucket(environment.bucket)
    tries = _work_under_way(folders)
    if tries:
        bucket.put(tries.key, tries.failed(_explain(variables)).to_json())
    if tries and not isinstance(tries.work, WholeRun):
        return  # a batch has no status: its units tell of themselves
    queued = tries.work.run_id if tries else None
    if queued is None and Market.read(parameters) is not None:
        return  # a machine of a fleet does not do the deployed run
    found = bucket.get(RunKeys(queued).status if queued else RunStatus.key(parameters))
    if queued:
        run = RunStatus.of_queued(queued, instance_id=environment.instance_id, found=found)
    else:
        run = RunStatus.of(parameters, instance_id=environment.instance_id, found=found)
    status = run.status
    # By what this boot has started, and not by an earlier attempt at the same run.
    ended_now = status.phase in ENDED_EARLY and read_utc(status.updated_at) >= environment.boot_started_at
    if run.done or ended_now:
        return  # the worker has told everything itself
    try:
        log = folders.worker_log.read_text("utf-8", errors="replace")
    except OSError as error:
        logger.warning("the worker's log cannot be read: %s", error)
        log = ""
    step = "worker" if status.phase in ENDED_EARLY else status.phase
    document = run.fail(Failure(step=step, message=_explain(variables), log_tail=log_tail(log)))
    if document:
        bucket.put(run.keys.status, document)
    if log and not queued:  # whose log.txt has its own lines alone
        bucket.put(run.keys.log, log, PLAIN)


def _work_under_way(folders: Folders) -> Optional[Tries]:
    """What the worker did of a queue when it ended, if anything. It is told once."""
    try:
        tries = read_tries(folders.queued_run.read_text("utf-8"))
        folders.queued_run.unlink()
        return tries if tries and tries.work else None
    except (OSError, ValueError):
        return None


def _explain(variables: Mapping[str, str]) -> str:
    result = variables.get("SERVICE_RESULT", "unknown")
    status = variables.get("EXIT_STATUS", "")
    if result == "oom-kill":
        return (
            "The worker was ended because the machine ran out of memory. Ask for smaller images or fewer Samples, or "
            "choose a larger InstanceType."
        )
    how = f"was killed by signal {status}" if variables.get("EXIT_CODE") == "killed" else f"ended with {status}"
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
