"""Imports the libraries that draw, while the worker still waits for its model or for the bucket."""

from __future__ import annotations

import contextlib
import sys
import threading

from userdata.worker.process.garbage_collection import collector_at_rest
from userdata.worker.process.transformers_index import remember_index
from userdata.worker.process.unused_libraries import leave_out_compiler, leave_out_distributed

# Importing holds the interpreter for seconds. By default another thread waits up to 5 ms for its turn, each time that
# the thread comes back from a file, from the network or from the GPU: some thousand times meanwhile.
TURN_SECONDS = 0.00002


def start_imports() -> None:
    """Begins to import torch, diffusers and the worker's modules around them, in the background.

    A thread that imports one of them meanwhile waits for it: that is how Python imports. An import that fails here
    fails in that thread again, where the failure can be told. Parts that no run uses are left out, for this process.
    """
    sys.setswitchinterval(TURN_SECONDS)
    threading.Thread(target=_import, name="imports", daemon=True).start()


def import_libraries() -> None:
    """Imports all that an attempt imports, and leaves out what no run uses. Raises `ImportError`."""
    leave_out_distributed()
    leave_out_compiler()
    with remember_index():
        import userdata.worker.loaded.make_drawing  # noqa: F401


def _import() -> None:
    # By the same one import as an attempt, so that no two threads wait for each other.
    with collector_at_rest(), contextlib.suppress(Exception):
        import_libraries()
