"""Keeps what this boot has logged, so that a failure can carry it to the bucket."""

from __future__ import annotations

import logging
import sys
from typing import List

from userdata.contract.log_lines import log_format
from userdata.contract.status import PHASES

LONGEST = 20_000


class BootLog(logging.Handler):
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


def start_log() -> BootLog:
    """Logs to standard output, which boot.sh keeps, and into memory; times are UTC."""
    lines = BootLog()
    stream = logging.StreamHandler(sys.stdout)
    root = logging.getLogger()
    root.setLevel(logging.INFO)
    for handler in (lines, stream):
        handler.setFormatter(log_format())
        handler.addFilter(_name_step)
        root.addHandler(handler)
    return lines


def _name_step(record: logging.LogRecord) -> bool:
    """Puts the step's name, which its thread has, before the line, because two steps may log by turns."""
    step, message = record.threadName or "", record.getMessage()
    if step in PHASES and not message.startswith(step):
        record.msg, record.args = f"{step}: {message}", ()
    return True
