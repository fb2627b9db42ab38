"""`python -m scripts.local.booted`: prepares what the machine tests begin with, or tells why no machine boots here."""

from __future__ import annotations

import sys

from scripts.local.booted.ability import reason_against
from scripts.local.booted.root_file_system import root_file_system


def main() -> int:
    """The exit code: 0 also where no machine can boot, since the tests say so themselves."""
    reason = reason_against()
    print(f"machine tests: {reason}" if reason else f"machine tests: {root_file_system()}")  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
