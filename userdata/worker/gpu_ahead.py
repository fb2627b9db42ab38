"""Wakes the GPU while the worker still imports its libraries."""

from __future__ import annotations

import ctypes
import threading


def start_gpu() -> None:
    """Begins to start the driver and its context on the first GPU, in the background.

    PyTorch would do so only when the first tensor goes there, after all imports, and takes the context that is there: a
    process has one primary context for a GPU (CUDA driver API, "Primary Context Management"). A machine without a
    driver or a GPU is left as it is: the worker says so when it needs one.
    """
    threading.Thread(target=_retain_context, name="gpu", daemon=True).start()


def _retain_context() -> None:
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return
    if driver.cuInit(0) == 0:
        driver.cuDevicePrimaryCtxRetain(ctypes.byref(ctypes.c_void_p()), 0)
