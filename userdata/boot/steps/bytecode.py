"""Keeps for the worker what Python would find out anew at each of its starts, since it may not write there itself."""

from __future__ import annotations

import logging
from pathlib import Path

from userdata.boot.machine.commands import CommandError, run_logged
from userdata.contract.layout import Folders

logger = logging.getLogger(__name__)
COMPILE_SECONDS = 300
# A module that nothing but the worker imports: what is compiled of the others may be the boot's own, for its Python.
WORKERS_OWN = "attempt"


def compile_for_worker(folders: Folders, python: Path) -> None:
    """Spares each next start of the worker two seconds, once for a bundle. That it fails is logged and no more.

    It gives way to the worker, which has begun.
    """
    code = folders.bundle / "userdata"
    if any((code / "worker/run/__pycache__").glob(f"{WORKERS_OWN}.*.pyc")):
        return
    for module in (["userdata.worker.process.transformers_index"], ["compileall", "-q", str(code)]):
        try:
            run_logged(["nice", "-n", "19", str(python), "-m", *module], seconds=COMPILE_SECONDS, folder=folders.bundle)
        except CommandError as error:
            logger.warning("the worker's next starts will not be faster than this one: %s", error)
