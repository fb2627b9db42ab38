"""Imports the libraries that draw, while the worker still waits for its model or for the bucket."""

from __future__ import annotations

import contextlib
import sys
import threading

from userdata.worker.process.garbage_collection import collector_at_rest
from userdata.worker.process.transformers_index import remember_index
from userdata.worker.process.unused_libraries import import_no_compiler, import_nothing_distributed

# Importing holds the interpreter for seconds. By default another thread waits up to 5 ms for its turn, each time that
# the thread comes back from a file, from the network or from the GPU: some thousand times meanwhile.
TURN_SECONDS = 0.00002


def start_imports() -> None:
    """Begins to import torch, diffusers and all that draws, in the background.

    A thread that imports one of these modules meanwhile waits for it, as Python's import system has it. An error here
    is dropped: that thread meets the error again, where a person can be told. Parts of the libraries that no run uses
    are left out, for this process.
    """
    sys.setswitchinterval(TURN_SECONDS)
    threading.Thread(target=_import, name="imports", daemon=True).start()


def _import() -> None:
    # What an attempt imports, by the same one import, so that no two threads wait for each other.
    with collector_at_rest(), contextlib.suppress(Exception):
        import_nothing_distributed()
        import_no_compiler()
        with remember_index():
            import userdata.worker.run.make_drawing  # noqa: F401
