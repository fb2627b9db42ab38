"""`python -m tests.machine.booted`: prepares the machine tests' root file system, or says why none can boot.

Standard library only, so that it can run while the environment is still being set up.
"""

from __future__ import annotations

import subprocess
import sys

from tests.machine.booted.ability import reason_against
from tests.machine.booted.package_source import NoPackageSourceError
from tests.machine.booted.root_file_system import RootFileSystemError, root_file_system


def main() -> int:
    """Returns 0 also where no machine can boot, because the tests themselves say so."""
    reason = reason_against()
    if reason:
        _say(f"are skipped: {reason}")
        return 0
    _say("prepare their root file system (a minute or two the first time)")
    try:
        root_file_system()
    except (NoPackageSourceError, RootFileSystemError, OSError, subprocess.SubprocessError) as error:
        _say(f"have no root file system: {error}")
        return 1
    return 0


def _say(what: str) -> None:
    print(f"machine tests: they {what}", file=sys.stderr)  # noqa: T201


if __name__ == "__main__":
    sys.exit(main())
