"""Ends the machine's running costs."""

from __future__ import annotations

import logging

from userdata.boot.machine.commands import CommandError, answer_of

logger = logging.getLogger(__name__)


def power_off(why: str) -> None:
    """Powers the machine off. EC2 then stops or terminates the instance, as the stack has set.

    A halted machine would go on costing money. When even the power-off fails, the timer that the user data armed
    (MaxHours) and the alarm outside the machine are left.
    """
    logger.info("%s: powering off", why)
    try:
        answer_of(["shutdown", "-P", "now"], seconds=30)
    except CommandError as error:
        logger.error("The machine could not be powered off, MaxHours will: %s", error)
