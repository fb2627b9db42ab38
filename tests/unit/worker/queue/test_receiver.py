from __future__ import annotations

import threading

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError, EndpointConnectionError

from tests.unit.worker.queue.conftest import PREFIX, Work
from userdata.contract.patience import Patience
from userdata.contract.work import BATCH
from userdata.worker.queue import receiver as receiver_module
from userdata.worker.queue.queues import LostAnswerError, Message, Queues
from userdata.worker.queue.receiver import Receiver

MESSAGE = Message("batch", "{}", "receipt")
AWAY = EndpointConnectionError(endpoint_url="https://sqs")
GONE = ClientError({"Error": {"Code": "QueueDoesNotExist", "Message": "gone"}}, "ReceiveMessage")


class Asked:
    """Stands for the queues: fails or has nothing, as told, and then has the message."""

    hidden_seconds = 30.0

    def __init__(self, *answers: Exception | None) -> None:
        self.times = 0
        self._answers = answers

    def receive(self, kind: str, *, wait_seconds: int) -> Message | None:
        self.times += 1
        if self.times > len(self._answers):
            return MESSAGE
        if answer := self._answers[self.times - 1]:
            raise answer
        return None


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


@pytest.mark.parametrize("loss", [ConnectionClosedError(endpoint_url="https://sqs"), LostAnswerError()])
def test_a_message_that_may_have_been_lost_with_an_answer_is_waited_for(
    stop: threading.Event, monkeypatch: pytest.MonkeyPatch, loss: Exception
) -> None:
    monkeypatch.setattr(receiver_module, "LAST_LOOK_SECONDS", 0.01)
    assert last_look(Asked(loss, None, None, None), stop)
    assert not last_look(Asked(AWAY, None), stop), "nothing was lost"
    monkeypatch.setattr(Asked, "hidden_seconds", 0.05)
    assert not last_look(Asked(loss, *[None] * 1000), stop)


def test_sqs_tells_that_an_answer_before_was_lost(work: Work) -> None:
    sqs = Queues(PREFIX)
    events = sqs._client.meta.events
    failures = [ConnectionClosedError(endpoint_url="https://sqs")]

    def lose(**_: object) -> None:
        if failures:
            raise failures.pop()

    events.register_first("before-send.sqs.ReceiveMessage", lose)
    with pytest.raises(LostAnswerError):
        sqs.receive(BATCH, wait_seconds=0)
    assert sqs.receive(BATCH, wait_seconds=0) is None
    sqs.send(BATCH, ["a"])
    failures.append(ConnectionClosedError(endpoint_url="https://sqs"))
    found = sqs.receive(BATCH, wait_seconds=0)
    assert found
    assert found.after_a_loss


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
