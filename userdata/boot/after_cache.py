"""Runs when sd-cache.service has ended, however it ended: powers off the machine, which has waited for the cache."""

from __future__ import annotations

from userdata.boot.machine.deployed import KEEP, deployed_parameters
from userdata.boot.machine.power_off import power_off
from userdata.boot.steps.worker_unit import serve_on
from userdata.boot.telling.boot_log import start_log
from userdata.contract.layout import Folders
from userdata.contract.work import PARAMETER as QUEUES


def after_cache(folders: Folders) -> None:
    """Powers the machine off. Where `AfterRun` is `keep`, starts the worker again, if there are queues."""
    parameters = deployed_parameters(folders)
    if parameters.get("AfterRun") != KEEP:
        power_off("the worker has finished, and the cache is written", parameters)
    elif parameters.get(QUEUES):
        serve_on(folders)


if __name__ == "__main__":
    start_log()
    after_cache(Folders())
