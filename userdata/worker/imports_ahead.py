"""Imports what drawing needs while the worker still waits for its model, or for the bucket."""

from __future__ import annotations

import contextlib
import threading

from userdata.worker.garbage_collection import collector_at_rest


def start_imports() -> None:
    """Begins to import torch, diffusers and what the worker has around them, in the background.

    Whoever imports one of them meanwhile waits for it, as Python's import system has it. What goes wrong here is left
    to them: they meet it again, where it can be told.
    """
    threading.Thread(target=_import, name="imports", daemon=True).start()


def _import() -> None:
    # In the order in which an attempt imports them, so that no two threads wait for each other.
    with collector_at_rest(), contextlib.suppress(Exception):
        import userdata.worker.compvis_drawing
        import userdata.worker.drawing
        import userdata.worker.equipment  # noqa: F401
