"""`python3 -m userdata.boot.tell_failure`: tells in the bucket that the worker has failed, if it could not tell itself.

systemd runs it with the worker's user and limits when the worker has ended, since it reads a note of the worker's and
documents of the bucket. Root would follow a link that somebody who has taken the worker over had put there.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
from typing import Mapping, Optional

from userdata.boot.fetch.bucket import PLAIN, Bucket
from userdata.boot.machine.commands import end_commands
from userdata.boot.machine.deployed import deployed_parameters
from userdata.boot.telling.boot_log import start_log
from userdata.boot.telling.earlier import earlier_in
from userdata.boot.telling.ending import Ending, ending_of, explain, is_going_down
from userdata.boot.telling.run_status import RunStatus
from userdata.contract.layout import Folders, RunKeys
from userdata.contract.outside import read_utc
from userdata.contract.status import ENDED_EARLY, Failure, log_tail
from userdata.contract.tries import Tries, read_tries
from userdata.contract.work import WholeRun
from userdata.contract.worker_environment import WorkerEnvironment
from userdata.fleet.market import Market

logger = logging.getLogger(__name__)
# A machine that costs money waits for this. systemd, which would end it later, would not run what powers off then.
TELLING_SECONDS = 60


def tell_failure(folders: Folders, variables: Mapping[str, str]) -> None:
    """Tells a failure in the notes of queued work and in the run's status. `variables` are systemd's and the worker's.

    Raises `StepError` when the bucket does not take it, and `ValueError` for variables that are not the worker's.
    """
    if ending_of(variables, going_down=is_going_down()) is not Ending.FAILED:
        return
    parameters = deployed_parameters(folders)
    environment = WorkerEnvironment.read(variables)
    bucket = Bucket(environment.bucket)
    tries = _work_under_way(folders)
    if tries:
        bucket.put(tries.key, tries.failed(explain(variables)).to_json())
    if tries and not isinstance(tries.work, WholeRun):
        return  # a batch has no status: its units tell of themselves
    queued = tries.work.run_id if tries else None
    if queued is None and Market.read(parameters) is not None:
        return  # a machine of a fleet does not do the deployed run
    earlier = earlier_in(bucket.get(RunKeys(queued).status if queued else RunStatus.key(parameters)))
    if queued:
        run = RunStatus.of_queued(queued, instance_id=environment.instance_id, earlier=earlier)
    else:
        run = RunStatus.of(parameters, instance_id=environment.instance_id, earlier=earlier)
    status = run.status
    # By what this boot has started, and not by an earlier attempt at the same run.
    ended_now = status.phase in ENDED_EARLY and read_utc(status.updated_at) >= environment.boot_started_at
    if run.done or ended_now:
        return  # the worker has told everything itself
    log = _log(folders)
    step = "worker" if status.phase in ENDED_EARLY else status.phase
    document = run.fail(Failure(step=step, message=explain(variables), log_tail=log_tail(log)))
    if document:
        bucket.put(run.keys.status, document)
    if log and not queued:  # whose log.txt has its own lines alone
        bucket.put(run.keys.log, log, PLAIN)


def _log(folders: Folders) -> str:
    try:
        return folders.worker_log.read_text("utf-8", errors="replace")
    except OSError as error:
        logger.warning("the worker's log cannot be read: %s", error)
        return ""


def _work_under_way(folders: Folders) -> Optional[Tries]:
    """What the worker did of a queue when it ended, if anything. It is told once."""
    try:
        tries = read_tries(folders.queued_run.read_text("utf-8"))
        folders.queued_run.unlink()
        return tries if tries and tries.work else None
    except (OSError, ValueError):
        return None


def main() -> int:
    """The exit status."""

    def give_up(_number: int, _frame: object) -> None:
        logger.error("the failure could not be told within %d s", TELLING_SECONDS)
        end_commands()
        os._exit(1)

    signal.signal(signal.SIGALRM, give_up)
    signal.alarm(TELLING_SECONDS)
    try:
        tell_failure(Folders(), os.environ)
    except Exception as error:  # noqa: BLE001  # telling may fail in any way, and is no reason for a traceback
        logger.error("the failure could not be told: %s", error)
        return 1
    return 0


if __name__ == "__main__":
    start_log()
    sys.exit(main())
