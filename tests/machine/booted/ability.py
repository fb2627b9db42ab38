"""Finds out whether this host can boot machines."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from tests.machine.booted.shared_python import base_folder

PROGRAMS = {"debootstrap": "debootstrap", "systemd-nspawn": "systemd-container", "ip": "iproute2", "mount": "mount"}
# The worker's unit has DynamicUser=, which gives it a /tmp and a /var/tmp of its own.
HIDDEN = (Path("/tmp"), Path("/var/tmp"))  # nothing is written there


def reason_against() -> str | None:
    """Why machines cannot boot here, in one clause with the way out; None when they can."""
    if sys.platform != "linux":
        return "machines boot on Linux only"
    if os.geteuid() != 0:
        return "machines boot for root only; run it with sudo"
    missing = [package for program, package in PROGRAMS.items() if shutil.which(program) is None]
    if missing:
        return f"machines need {', '.join(missing)}; apt-get install {' '.join(missing)}"
    base = base_folder()
    if base and any(base.is_relative_to(folder) for folder in HIDDEN):
        return f"the worker has a /tmp of its own and would not see {base}; make .venv with a Python elsewhere"
    return None
