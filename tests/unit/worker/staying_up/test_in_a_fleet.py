"""What the worker of a fleet's machine tells the fleet."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from tests.deployed_parameters import parameter_lines
from userdata.contract.layout import Folders
from userdata.fleet.group import Group
from userdata.worker.staying_up import in_a_fleet

PARAMETERS = {"Fleet": "20,fallback", "Queues": "sd-1", "ResultsBucket": "results", "Region": "us-east-1"}


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    told: list[str] = []
    for name in ("tell_booted", "tell_lost", "look_at_market"):
        monkeypatch.setattr(Group, name, lambda _, name=name: told.append(name))
    monkeypatch.setattr(in_a_fleet, "MARKET_SECONDS", 0.01)
    return told


@pytest.mark.parametrize(
    ("fleet", "expected"), [("20,fallback", {"tell_booted", "look_at_market"}), ("20", {"tell_booted"})]
)
def test_a_machine_tells_that_it_works_only_after_it_has_worked_for_a_while(
    told: list[str], monkeypatch: pytest.MonkeyPatch, fleet: str, expected: set[str]
) -> None:
    stop = threading.Event()
    in_a_fleet.watch_fleet({**PARAMETERS, "Fleet": fleet}, stop)
    stop.set()  # before it has worked for long
    ended()
    assert told == []
    monkeypatch.setattr(in_a_fleet, "WORKS_SECONDS", 0)
    in_a_fleet.watch_fleet({**PARAMETERS, "Fleet": fleet}, Looking())
    ended()
    assert set(told) == expected


def ended() -> None:
    for thread in threading.enumerate():
        if thread.name == "fleet":
            thread.join(10)


class Looking(threading.Event):
    """Set once somebody has waited three times."""

    def __init__(self) -> None:
        super().__init__()
        self._left = 3

    def wait(self, timeout: float | None = None) -> bool:
        self._left -= 1
        return self._left < 0


def test_a_machine_of_no_fleet_tells_nothing(told: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SD_PREFIX", str(tmp_path))
    in_a_fleet.tell_lost()  # nor where there are no parameters
    parameters = Folders().parameters
    parameters.parent.mkdir(parents=True)
    alone = {name: value for name, value in PARAMETERS.items() if name != "Fleet"}
    for given, expected in ((alone, []), (PARAMETERS, ["tell_lost"])):
        parameters.write_text(parameter_lines(given))
        in_a_fleet.tell_lost()
        assert told == expected
    in_a_fleet.watch_fleet(alone, threading.Event())
    assert not [thread for thread in threading.enumerate() if thread.name == "fleet"]
