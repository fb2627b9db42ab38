"""The CPU runs ahead of the GPU, but only by the steps that it may."""

from __future__ import annotations

import pytest
import torch

from userdata.worker.drawing.steps_in_flight import AHEAD, StepsInFlight


class Event:
    """A CUDA event that tells what is done with it."""

    made: list[Event]
    waited_for: list[Event]

    def __init__(self) -> None:
        self.made.append(self)
        self.recorded = False

    def record(self) -> None:
        self.recorded = True

    def synchronize(self) -> None:
        assert self.recorded, "an event that was never recorded has always happened: nothing would be waited for"
        self.waited_for.append(self)


@pytest.fixture(autouse=True)
def events(monkeypatch: pytest.MonkeyPatch) -> type[Event]:
    Event.made, Event.waited_for = [], []
    monkeypatch.setattr(torch.cuda, "Event", Event)
    return Event


def test_the_first_steps_are_not_waited_for(events: type[Event]) -> None:
    steps = StepsInFlight(torch.device("cuda"))
    for _ in range(AHEAD):
        steps.one_more()
    assert len(events.made) == AHEAD
    assert events.waited_for == []


def test_then_each_step_waits_for_the_one_that_is_too_far_back(events: type[Event]) -> None:
    steps = StepsInFlight(torch.device("cuda"))
    for _ in range(AHEAD + 3):
        steps.one_more()
    assert events.waited_for == events.made[:3]


def test_on_the_cpu_nothing_is_under_way(events: type[Event]) -> None:
    steps = StepsInFlight(torch.device("cpu"))
    for _ in range(AHEAD + 3):
        steps.one_more()
    assert events.made == []
