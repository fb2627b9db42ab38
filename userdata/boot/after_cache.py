"""What comes when sd-cache.service has ended, however it ended: the power-off that waited for it."""

from __future__ import annotations

from userdata.boot.after_worker import deployed_parameters
from userdata.boot.machine.power_off import KEEP, power_off
from userdata.boot.telling.log_lines import start_log
from userdata.contract.layout import Folders


def after_cache(folders: Folders) -> None:
    """Powers the machine off unless `AfterRun` is `keep`."""
    if deployed_parameters(folders).get("AfterRun") != KEEP:
        power_off("the worker has finished, and the cache is written")


if __name__ == "__main__":
    start_log()
    after_cache(Folders())
