from __future__ import annotations

import threading

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from userdata.contract.patience import Patience
from userdata.worker.queue import receiver as receiver_module
from userdata.worker.queue.queues import Message
from userdata.worker.queue.receiver import Receiver

MESSAGE = Message("batch", "{}", "receipt")
AWAY = EndpointConnectionError(endpoint_url="https://sqs")
GONE = ClientError({"Error": {"Code": "QueueDoesNotExist", "Message": "gone"}}, "ReceiveMessage")


class Asked:
    """Stands for the queues: fails as told, then has the message."""

    def __init__(self, *failures: Exception) -> None:
        self.times = 0
        self._failures = failures

    def receive(self, kind: str, *, wait_seconds: int) -> Message:
        self.times += 1
        if self.times <= len(self._failures):
            raise self._failures[self.times - 1]
        return MESSAGE


@pytest.fixture
def stop(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    monkeypatch.setattr(receiver_module, "LAST_LOOKS", Patience(attempts=4, first_pause=0.01))
    return threading.Event()


def last_look(asked: Asked, stop: threading.Event) -> bool:
    receiver = Receiver(asked, "batch", threading.Event(), wait_seconds=0)  # type: ignore[arg-type]
    receiver.look_again(stop)
    lease = receiver.take()
    if lease:
        lease.end()
    return lease is not None


def test_a_queue_that_is_away_during_the_last_look_is_asked_again(stop: threading.Event) -> None:
    assert last_look(Asked(AWAY, AWAY), stop)


def test_a_queue_that_stays_away_keeps_no_machine(stop: threading.Event) -> None:
    asked = Asked(*[AWAY] * 10)
    assert not last_look(asked, stop)
    assert asked.times == 4


def test_what_does_not_pass_and_whoever_must_stop_is_not_waited_for(stop: threading.Event) -> None:
    gone, away = Asked(GONE), Asked(AWAY)
    assert not last_look(gone, stop)
    stop.set()
    assert not last_look(away, stop)
    assert (gone.times, away.times) == (1, 1)
