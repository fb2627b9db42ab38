"""Keeps for the worker what Python would find out anew at each of its starts, since it may not write there itself."""

from __future__ import annotations

import logging
from pathlib import Path

from userdata.boot.commands import CommandError, answer_of
from userdata.worker.layout import Folders

logger = logging.getLogger(__name__)
COMPILE_SECONDS = 300
# A module that nothing but the worker imports: what is compiled of the others may be the boot's own, for its Python.
WORKERS_OWN = "attempt"

_WRITE_INDEX = """
import sys
sys.path.insert(0, sys.argv[1])
from userdata.worker.transformers_index import write_index
write_index()
"""


def compile_for_worker(folders: Folders, python: Path) -> None:
    """Spares each next start of the worker two seconds, once for a bundle. That it fails is logged and no more.

    It gives way to the worker, which has begun.
    """
    code = folders.bundle / "userdata"
    if any((code / "worker/__pycache__").glob(f"{WORKERS_OWN}.*.pyc")):
        return
    for command in (["-c", _WRITE_INDEX, str(folders.bundle)], ["-m", "compileall", "-q", str(code)]):
        try:
            answer_of(["nice", "-n", "19", str(python), *command], seconds=COMPILE_SECONDS)
        except CommandError as error:
            logger.warning("the worker's next starts will not be faster than this one: %s", error)
