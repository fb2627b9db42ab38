"""`python3 -m userdata.boot.after_worker`: decides whether the machine powers off when its worker has ended.

systemd runs it as root, as the last `ExecStopPost` of the unit. What was to be told of a failure has been told by
`userdata.boot.tell_failure` before, as the worker's user: root reads nothing of the worker's and nothing of the bucket.
"""

from __future__ import annotations

import logging
import os
from typing import Mapping

from userdata.boot.fetch.cache import read_notes
from userdata.boot.machine.commands import CommandError, answer_of
from userdata.boot.machine.deployed import KEEP, deployed_parameters
from userdata.boot.machine.power_off import power_off
from userdata.boot.steps.worker_unit import CACHE_UNIT, SYSTEMCTL_SECONDS, serve_on
from userdata.boot.telling.boot_log import start_log
from userdata.boot.telling.ending import Ending, ending_of, explain, is_going_down
from userdata.contract.layout import Folders
from userdata.contract.work import PARAMETER as QUEUES

logger = logging.getLogger(__name__)


def after_worker(folders: Folders, variables: Mapping[str, str]) -> None:
    """Powers the machine off as `AfterRun` and `OnFailure` ask. `variables` are systemd's.

    `AfterRun` `terminate` needs nothing here: the instance's shutdown behaviour says what a power-off means.
    """
    going_down = is_going_down()
    ending = ending_of(variables, going_down=going_down)
    logger.info("the worker has %s", ending.value)
    if ending is Ending.STOPPED:
        return
    parameters = deployed_parameters(folders)
    if ending is Ending.FINISHED and not going_down and _saves_cache(folders):
        return  # userdata.boot.after_cache powers off
    choice = "AfterRun" if ending is Ending.FINISHED else "OnFailure"
    if parameters.get(choice) == KEEP:
        logger.info("%s is keep: the machine goes on running", choice)
        if ending is Ending.FINISHED and parameters.get(QUEUES) and not going_down:
            serve_on(folders)
        return
    failure = None if ending is Ending.FINISHED else explain(variables)
    power_off(f"the worker has {ending.value}", parameters, failure=failure)


def _saves_cache(folders: Folders) -> bool:
    """Whether this machine has something to keep for the next one, and sd-cache.service was started to keep it."""
    fetched = os.path.lexists(folders.fetched_unkept)  # another user's, so root opens nothing there
    if not fetched and not any(entry.wanted for entry in read_notes(folders.cache_notes)):
        return False
    try:
        answer_of(["systemctl", "start", CACHE_UNIT], seconds=SYSTEMCTL_SECONDS)
    except CommandError as error:
        logger.warning("nothing is kept for the next machine: %s", error)
        return False
    logger.info("keeping the environment and the weights for the next machine")
    return True


if __name__ == "__main__":
    start_log()
    after_worker(Folders(), os.environ)
