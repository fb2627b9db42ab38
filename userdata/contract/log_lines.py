"""The form of a log's lines, and another program's output as such lines."""

from __future__ import annotations

import logging
import re
import time
from typing import Deque, Iterable

logger = logging.getLogger(__name__)
# Progress bars that lie one above the other in a terminal move its cursor up.
_CURSOR = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


def log_format() -> logging.Formatter:
    """One line: the time in UTC, the level, the message."""
    formatter = logging.Formatter("%(asctime)sZ %(levelname)s %(message)s", "%Y-%m-%dT%H:%M:%S")
    formatter.converter = time.gmtime
    return formatter


def log_output(output: Iterable[bytes], last: Deque[str]) -> None:
    """Logs each line of a program's output as it comes, and keeps the latest in `last`."""
    # As bytes: text mode would take every step of a progress bar for a line. What it showed last is what a log needs.
    for line in output:
        shown = _CURSOR.sub("", line.decode("utf-8", "replace")).rstrip().rsplit("\r", 1)[-1]
        if shown:
            last.append(shown)
            logger.info("  %s", shown)
