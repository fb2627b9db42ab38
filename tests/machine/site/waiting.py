"""Waits for a condition, never for luck."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

Found = TypeVar("Found")
PATIENCE = 300.0  # seconds; a machine on a busy host may need minutes to boot and draw


def wait_for(condition: Callable[[], Found | None], what: str, *, seconds: float = PATIENCE) -> Found:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.4)  # every look costs the emulated cloud, on the same cores, some work
    raise AssertionError(f"waited {seconds:.0f} s for {what}")
