"""Ends the machine's running costs."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Mapping, Optional

from userdata.boot.machine.commands import CommandError, answer_of, run_logged
from userdata.fleet.market import Market

logger = logging.getLogger(__name__)
CODE = Path(__file__).resolve().parents[3]
# Of the 90 seconds that systemd gives whoever ends the machine after its worker.
LEAVING_SECONDS = 65


def power_off(why: str, parameters: Mapping[str, str], *, failure: Optional[str] = None) -> None:
    """Powers the machine off. EC2 then stops or terminates the instance, as the stack has set.

    By the deployed `parameters`, a machine of a fleet leaves its group first; `failure` says what failed, if anything.

    A halted machine would go on costing money. When even the power-off fails, the timer that the user data armed
    (MaxHours) and the alarm outside the machine are left.
    """
    logger.info("%s: powering off", why)
    if Market.read(parameters) is not None:
        words = [sys.executable, "-m", "userdata.fleet.leave", *([failure] if failure else [])]
        try:
            run_logged(words, seconds=LEAVING_SECONDS, folder=CODE)
        except CommandError as error:
            logger.error("The machine could not leave its fleet: %s", error)
    try:
        answer_of(["shutdown", "-P", "now"], seconds=30)
    except CommandError as error:
        logger.error("The machine could not be powered off, MaxHours will: %s", error)
