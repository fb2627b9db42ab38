"""Runs a program that a test needs, to its end."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any


def run_to_end(*command: str | Path, seconds: float, **options: Any) -> None:
    """Runs `command` with `subprocess.run`'s `options`; fails with all that it said unless it ends with 0 in time."""
    outcome = subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, timeout=seconds, check=False, **options
    )
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr
