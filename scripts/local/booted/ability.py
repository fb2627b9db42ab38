"""Whether this host can boot machines."""

from __future__ import annotations

import os
import shutil
import sys

PROGRAMS = {"debootstrap": "debootstrap", "systemd-nspawn": "systemd-container", "ip": "iproute2", "mount": "mount"}


def reason_against() -> str | None:
    """Why machines cannot boot here, in one clause with the way out; None when they can."""
    if sys.platform != "linux":
        return "machines boot on Linux only"
    if os.geteuid() != 0:
        return "machines boot for root only; run it with sudo"
    missing = [package for program, package in PROGRAMS.items() if shutil.which(program) is None]
    if missing:
        return f"machines need {', '.join(missing)}; apt-get install {' '.join(missing)}"
    return None
