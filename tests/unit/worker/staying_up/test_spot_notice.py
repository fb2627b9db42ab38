"""The notice of a spot interruption ends the work; everything else does not."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from scripts.local.aws.metadata_service import InstanceView, MetadataService
from tests.unit.local.aws.test_metadata_service import VIEW
from userdata.worker.staying_up.spot_notice import SpotNotice


class Told:
    """A metadata service whose answers a test changes; `asked` is set by every question for the notice."""

    def __init__(self) -> None:
        self.view = VIEW
        self.asked = threading.Event()
        self.service = MetadataService(self._answer)

    def _answer(self) -> InstanceView:
        self.asked.set()
        return self.view


@pytest.fixture
def told() -> Iterator[Told]:
    told = Told()
    told.service.start()
    yield told
    told.service.stop()


def watching(told: Told, tell: Callable[[], None] = lambda: None) -> threading.Event:
    stop = threading.Event()
    SpotNotice(stop, tell=tell, endpoint=told.service.endpoint, poll_seconds=0.02).watch()
    return stop


def test_the_notice_stops_the_work(told: Told) -> None:
    stopped_before: list[bool] = []
    stop = watching(told, lambda: stopped_before.append(stop.is_set()))
    assert told.asked.wait(10)
    assert not stop.is_set()
    told.view = replace(VIEW, spot_action={"action": "terminate", "time": "2026-01-02T03:04:05Z"})
    assert stop.wait(10)
    assert stopped_before == [False]  # a worker that is stopped may end before anything is told


def test_a_service_that_fails_is_asked_again(told: Told) -> None:
    told.view = replace(VIEW, spot_action={"no action": ""})
    stop = watching(told)
    assert told.asked.wait(10)
    told.asked.clear()
    assert told.asked.wait(10)
    assert not stop.is_set()
    stop.set()


def test_a_token_whose_time_is_over_is_replaced(told: Told) -> None:
    stop = watching(told)
    assert told.asked.wait(10)
    told.service._tokens._ends.clear()
    told.view = replace(VIEW, spot_action={"action": "stop", "time": "2026-01-02T03:04:05Z"})
    assert stop.wait(10)


def test_where_nothing_answers_the_work_goes_on(told: Told) -> None:
    told.service.stop()
    stop = watching(told)
    assert not stop.wait(0.3)
    stop.set()
