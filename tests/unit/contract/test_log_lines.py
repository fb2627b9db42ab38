"""What another program prints becomes lines of the log that a person can read."""

from __future__ import annotations

import collections
import logging
import re
import time
from collections.abc import Iterator

import pytest

from userdata.contract.log_lines import log_format, log_output


def test_of_progress_bars_the_last_step_is_shown_and_nothing_moves_the_cursor(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    last: collections.deque[str] = collections.deque(maxlen=2)
    log_output([b"begins\n", b"  0%\r 50%\r100%\x1b[A\x1b[A\n", b"\n", b"\xff ends\n"], last)
    assert [record.getMessage() for record in caplog.records] == [
        "  begins",
        "  100%",
        "  \N{REPLACEMENT CHARACTER} ends",
    ]
    assert list(last) == ["100%", "\N{REPLACEMENT CHARACTER} ends"]


@pytest.fixture
def tokyo(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The process's clock is nine hours ahead of UTC."""
    monkeypatch.setenv("TZ", "JST-9")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("tokyo")
def test_a_line_begins_with_the_time_in_utc() -> None:
    record = logging.LogRecord("name", logging.WARNING, "file", 1, "%s is full", ("the disk",), None)
    record.created = 0.0
    assert re.fullmatch("1970-01-01T00:00:00Z WARNING the disk is full", log_format().format(record))
