"""Which version this checkout is, and at which commit."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from userdata.contract.version import VERSION

ROOT = Path(__file__).parents[3]
SECONDS = 10


def version_in_words() -> str:
    """The version; where the checkout has its history, the commit too, and how many files differ from it."""
    if not (ROOT / ".git").exists():  # a copy may lie within another repository
        return VERSION
    commit = output_of("git", "-C", str(ROOT), "log", "-1", "--format=%h of %cs")
    if not commit:
        return VERSION
    changed = len(output_of("git", "-C", str(ROOT), "status", "--porcelain").splitlines())
    return f"{VERSION}, commit {commit}{f', {changed} changed files' if changed else ''}"


def output_of(*command: str) -> str:
    """What a command prints; empty where it cannot be run, and when it fails."""
    if not shutil.which(command[0]):
        return ""
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
