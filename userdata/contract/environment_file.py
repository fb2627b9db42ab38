"""Reads the files of variables that the boot writes, in systemd's `EnvironmentFile` form."""

from __future__ import annotations

import shlex
from pathlib import Path


def read_environment_file(path: Path) -> dict[str, str]:
    """The variables by name; none where there is no such file, or it may not be read."""
    try:
        text = path.read_text("utf-8")
    except OSError:
        return {}
    return dict(word.split("=", 1) for line in text.splitlines() for word in shlex.split(line))
