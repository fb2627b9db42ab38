"""The interpreter that a booted machine shares with the host, read-only.

A machine that installs torch from the internet at every test is neither possible everywhere nor quick; what does
install is tested with a small environment of its own.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tests.machine.booted.disk import Disk

SYSTEM = Path("/usr")


def shared_folders() -> list[Path]:
    """The virtual environment that runs this code, and the Python below it where that is not the system's own."""
    folders = [Path(sys.prefix).resolve()]
    base = Path(sys.base_prefix).resolve()
    if base != SYSTEM:
        folders.append(base)
    return folders


def interpreter() -> Path:
    """The interpreter, as the machines see it too."""
    return Path(sys.prefix).resolve() / "bin/python"


def make_room(disk: Disk) -> None:
    """Makes the folders that the host's are bound to, with a way to them for every user of the machine."""
    for folder in shared_folders():
        disk.inside(folder).mkdir(parents=True, exist_ok=True)
        for parent in folder.parents:
            disk.inside(parent).chmod(0o755)
    # The Deep Learning AMI has the AWS CLI; here it is the environment's.
    disk.inside("/usr/local/bin/aws").symlink_to(Path(sys.prefix).resolve() / "bin/aws")
