"""The interpreter that a booted machine shares with the host, read-only.

A machine that installs torch from the internet at every test is neither possible everywhere nor quick; what does
install is tested with a small environment of its own.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tests.machine.booted.disk import Disk

SYSTEM = Path("/usr")
# Not where the host has the environment: below /tmp the worker, which has a /tmp of its own, would not see it.
ENVIRONMENT = Path("/opt/host-python")
# The environment's own aws names its interpreter by the host's path. Its collector would take a fifth of each call.
# It notes what root asks for: that is to be little.
ASKED_BY_ROOT = "/var/log/asked-by-root"
AWS = f"""#!/bin/sh
[ "$(id -u)" != 0 ] || echo "$*" >>{ASKED_BY_ROOT}
exec {ENVIRONMENT}/bin/python -c 'import gc
gc.set_threshold(100_000)
import sys
from awscli.clidriver import main
sys.exit(main())' "$@"
"""


def base_folder() -> Path | None:
    """The Python below this code's virtual environment, where that is not the system's own."""
    base = Path(sys.base_prefix).resolve()
    return None if base == SYSTEM else base


def shared_folders() -> dict[Path, Path]:
    """The host's folders, and where a machine has each: the virtual environment and the Python below it.

    That Python keeps its place, because the environment names it by its path.
    """
    base = base_folder()
    return {Path(sys.prefix).resolve(): ENVIRONMENT, **({base: base} if base else {})}


def interpreter() -> Path:
    """The interpreter, as the machines have it."""
    return ENVIRONMENT / "bin/python"


def packages() -> Path:
    """The interpreter's packages, as the machines have them."""
    return ENVIRONMENT / f"lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages"


def make_room(disk: Disk) -> None:
    """Makes the folders that the host's are bound to, with a way to them for every user of the machine."""
    for folder in shared_folders().values():
        disk.inside(folder).mkdir(parents=True, exist_ok=True)
        for parent in folder.parents:
            disk.inside(parent).chmod(0o755)
    # The Deep Learning AMI has the AWS CLI; here it is the environment's.
    disk.write("/usr/local/bin/aws", AWS, mode=0o755)
