"""A person's terminal with the local cloud as their AWS account."""

from __future__ import annotations

import subprocess
from pathlib import Path

from scripts.local.command_environment import CHECKOUT
from scripts.local.local_cloud import LocalCloud

COMMAND_SECONDS = 300


def run(cloud: LocalCloud, *command: str, folder: Path = CHECKOUT) -> subprocess.CompletedProcess[str]:
    """A command as typed in `folder`, ended; `stdout` is all that it printed. Nobody answers its questions."""
    return subprocess.run(
        command,
        cwd=folder,
        env=cloud.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=COMMAND_SECONDS,
        check=False,
    )
