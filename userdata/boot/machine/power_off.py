"""Ends the machine's running costs."""

from __future__ import annotations

import logging
from typing import Mapping, Optional

from userdata.boot.machine.commands import CommandError, answer_of
from userdata.fleet.leave import leave

logger = logging.getLogger(__name__)


def power_off(why: str, parameters: Mapping[str, str], *, failure: Optional[str] = None) -> None:
    """Powers the machine off. EC2 then stops or terminates the instance, as the stack has set.

    By the deployed `parameters`, a machine of a fleet leaves its group first; `failure` says what failed, if anything.

    A halted machine would go on costing money. When even the power-off fails, the timer that the user data armed
    (MaxHours) and the alarm outside the machine are left.
    """
    logger.info("%s: powering off", why)
    leave(parameters, failure=failure)
    try:
        answer_of(["shutdown", "-P", "now"], seconds=30)
    except CommandError as error:
        logger.error("The machine could not be powered off, MaxHours will: %s", error)
