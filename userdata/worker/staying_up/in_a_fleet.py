"""What the worker of a fleet's machine tells the fleet: that it works, and that EC2 takes the machine back."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping

from userdata.contract.layout import Folders
from userdata.contract.parameter_file import read_parameters
from userdata.fleet.group import Group

logger = logging.getLogger(__name__)

# A worker that cannot work at all is gone by then; one that leaves sooner tells so by that.
WORKS_SECONDS = 120.0
MARKET_SECONDS = 300.0


def watch_fleet(parameters: Mapping[str, str], stop: threading.Event) -> None:
    """Tells, from a thread of its own, that this machine works, and sees to the fleet's market until `stop` is set."""
    group = Group.of(parameters)
    if group is None:
        return

    def watch() -> None:
        if stop.wait(WORKS_SECONDS):
            return
        group.tell_booted()
        while group.market.fallback and not stop.wait(MARKET_SECONDS):
            group.look_at_market()

    threading.Thread(target=watch, name="fleet", daemon=True).start()


def tell_lost() -> None:
    """Tells the fleet of a spot notice, if there is one. What fails is logged: the worker has its images to save."""
    try:
        group = Group.of(read_parameters(Folders().parameters))
    except (OSError, ValueError) as error:
        logger.warning("the loss was not told to the fleet: %s", error)
        return
    if group:
        group.tell_lost()
