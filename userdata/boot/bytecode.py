"""Compiles the bundle's Python for the worker, which may not write where the bundle lies."""

from __future__ import annotations

import logging
from pathlib import Path

from userdata.boot.commands import CommandError, answer_of
from userdata.worker.layout import Folders

logger = logging.getLogger(__name__)
COMPILE_SECONDS = 300
# A module that nothing but the worker imports: what is compiled of the others may be the boot's own, for its Python.
WORKERS_OWN = "attempt"


def compile_for_worker(folders: Folders, python: Path) -> None:
    """Spares each next start of the worker a second, once for a bundle. That it fails is logged and no more.

    It gives way to the worker, which has begun.
    """
    code = folders.bundle / "userdata"
    if any((code / "worker/__pycache__").glob(f"{WORKERS_OWN}.*.pyc")):
        return
    try:
        answer_of(["nice", "-n", "19", str(python), "-m", "compileall", "-q", str(code)], seconds=COMPILE_SECONDS)
    except CommandError as error:
        logger.warning("the bundle was not compiled for the worker: %s", error)
