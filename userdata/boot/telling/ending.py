"""How the worker ended, by what systemd says in the variables of a unit's `ExecStopPost` (systemd.exec(5))."""

from __future__ import annotations

from enum import Enum
from typing import Mapping

from userdata.boot.machine.commands import CommandError, answer_of

TERMINATED = "143"
# systemd ends each command of ExecStopPost after the unit's TimeoutStopSec: systemctl must not use that time up.
GOING_DOWN_SECONDS = 20


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


def is_going_down() -> bool:
    """Whether the machine is being shut down."""
    try:
        answer_of(["systemctl", "is-system-running"], seconds=GOING_DOWN_SECONDS)
    except CommandError as error:
        return error.output.strip() == "stopping"  # every state but `running` is also an exit code
    return False


def explain(variables: Mapping[str, str]) -> str:
    """Why a worker that `FAILED` did, in sentences for a person."""
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
