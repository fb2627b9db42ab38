"""Writes bytecode and an index for faster starts of the worker, because the worker itself may not write them."""

from __future__ import annotations

import logging
from pathlib import Path

from userdata.boot.machine.commands import CommandError, run_logged
from userdata.boot.machine.fetcher import fetcher, give
from userdata.contract.layout import Folders

logger = logging.getLogger(__name__)
COMPILE_SECONDS = 300


def compile_for_worker(folders: Folders, python: Path) -> None:
    """Spares each next start of the worker two seconds, once for a bundle. A failure is logged and no more.

    The compiling gives way to the worker, which has begun. An interpreter that the boot has fetched writes nowhere else
    than in the worker's own rooms, because root's Python would run bytecode that lies beside the code of the boot. The
    image's own interpreter is root's, as are its packages.
    """
    worker = folders.deployed.worker
    if any((worker.parent / "__pycache__").glob(f"{worker.stem}.*.pyc")):
        return
    user = fetcher(folders) if folders.conda in python.parents else None
    for room in {file.parent for file in worker.parent.rglob("*.py")}:
        give(room / "__pycache__", user)
    for module in (["userdata.worker.process.transformers_index"], ["compileall", "-q", str(worker.parent)]):
        words = ["nice", "-n", "19", str(python), "-m", *module]
        try:
            run_logged(words, seconds=COMPILE_SECONDS, folder=folders.bundle, user=user)
        except CommandError as error:
            logger.warning("the worker's next starts will not be faster than this one: %s", error)
