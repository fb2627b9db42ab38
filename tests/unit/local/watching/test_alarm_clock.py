from __future__ import annotations

import threading
from typing import Any

import pytest

from scripts.local.watching import alarm_clock
from scripts.local.watching.alarm_clock import AlarmClock


def test_for_people_minutes_pass_by_themselves_until_they_leave(monkeypatch: pytest.MonkeyPatch) -> None:
    nobody: Any = None
    clock, passed = AlarmClock(nobody), threading.Event()
    monkeypatch.setattr(alarm_clock, "MINUTE", 0.01)
    monkeypatch.setattr(clock, "_next_minute", passed.set)
    assert not passed.wait(0.05)
    with clock.following():
        assert passed.wait(10)
    passed.clear()
    assert not passed.wait(0.05)
