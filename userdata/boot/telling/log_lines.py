"""Keeps what this boot has logged, so that a failure can carry it to the bucket."""

from __future__ import annotations

import logging
import sys
import time
from typing import List

LONGEST = 20_000


class LogLines(logging.Handler):
    """The log of this process, in memory: the latest lines, at most `LONGEST`."""

    def __init__(self) -> None:
        super().__init__()
        self._lines: List[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keeps one record."""
        self._lines.append(self.format(record))
        del self._lines[:-LONGEST]

    def text(self) -> str:
        """Everything logged so far."""
        return "".join(line + "\n" for line in self._lines)


def start_log() -> LogLines:
    """Logs to standard output, which boot.sh keeps, and into memory; times are UTC."""
    formatter = logging.Formatter("%(asctime)sZ %(levelname)s %(message)s", "%Y-%m-%dT%H:%M:%S")
    formatter.converter = time.gmtime
    lines = LogLines()
    stream = logging.StreamHandler(sys.stdout)
    root = logging.getLogger()
    root.setLevel(logging.INFO)
    for handler in (lines, stream):
        handler.setFormatter(formatter)
        root.addHandler(handler)
    return lines
