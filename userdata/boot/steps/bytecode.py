"""Writes bytecode and an index for faster starts of the worker, because the worker itself may not write them."""

from __future__ import annotations

import logging
from pathlib import Path

from userdata.boot.machine.commands import CommandError, run_logged
from userdata.contract.layout import Folders

logger = logging.getLogger(__name__)
COMPILE_SECONDS = 300


def compile_for_worker(folders: Folders, python: Path) -> None:
    """Spares each next start of the worker two seconds, once for a bundle. A failure is logged and no more.

    The compiling gives way to the worker, which has begun.
    """
    code = folders.deployed.root
    worker = folders.deployed.worker
    if any((worker.parent / "__pycache__").glob(f"{worker.stem}.*.pyc")):
        return
    for module in (["userdata.worker.process.transformers_index"], ["compileall", "-q", str(code)]):
        try:
            run_logged(["nice", "-n", "19", str(python), "-m", *module], seconds=COMPILE_SECONDS, folder=folders.bundle)
        except CommandError as error:
            logger.warning("the worker's next starts will not be faster than this one: %s", error)
