from __future__ import annotations

import threading

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from userdata.contract.work import EXTEND_EVERY_SECONDS, VISIBILITY_SECONDS
from userdata.worker.queue import lease as lease_module
from userdata.worker.queue.lease import Lease
from userdata.worker.queue.queues import Message

MESSAGE = Message("interactive", "{}", "receipt")
GONE = ClientError({"Error": {"Code": "InvalidParameterValue", "Message": "gone"}}, "ChangeMessageVisibility")


class Hides:
    """Stands for the queues: takes note of what is hidden for how long, and fails as told."""

    def __init__(self, *failures: Exception | None) -> None:
        self.seconds: list[int] = []
        self.calls = threading.Semaphore(0)
        self._failures = list(failures)

    def hide(self, message: Message, *, seconds: int) -> None:
        assert message is MESSAGE
        failure = self._failures.pop(0) if self._failures else None
        self.seconds.append(seconds)
        self.calls.release()
        if failure:
            raise failure

    def wait_for(self, count: int) -> None:
        for _ in range(count):
            assert self.calls.acquire(timeout=30)


def test_a_message_is_hidden_as_long_as_the_lease_lasts() -> None:
    hides = Hides()
    lease = Lease(hides, MESSAGE, every_seconds=0.01)  # type: ignore[arg-type]
    hides.wait_for(3)
    lease.end()
    before = list(hides.seconds)
    assert set(before) == {VISIBILITY_SECONDS}
    assert not hides.calls.acquire(timeout=0.05) or len(hides.seconds) == len(before)
    assert VISIBILITY_SECONDS / EXTEND_EVERY_SECONDS >= 3


def test_what_is_given_back_can_be_received_at_once() -> None:
    hides = Hides()
    Lease(hides, MESSAGE).give_back()  # type: ignore[arg-type]
    assert hides.seconds == [0]


def test_a_network_that_is_away_for_a_while_and_a_clock_that_is_wrong_lose_no_lease(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lease_module, "AGAIN_SECONDS", 0.01)
    away = EndpointConnectionError(endpoint_url="https://sqs")
    said = "Signature expired: 20260102T030405Z is now earlier than 20260102T040405Z"
    wrong = ClientError({"Error": {"Code": "InvalidSignatureException", "Message": said}}, "ChangeMessageVisibility")
    hides = Hides(away, wrong)
    lease = Lease(hides, MESSAGE, every_seconds=0.02)  # type: ignore[arg-type]
    hides.wait_for(4)
    lease.end()


def test_a_message_that_somebody_else_has_by_now_is_extended_no_more() -> None:
    hides = Hides(GONE)
    lease = Lease(hides, MESSAGE, every_seconds=0.01)  # type: ignore[arg-type]
    hides.wait_for(1)
    lease._thread.join(timeout=30)
    assert not lease._thread.is_alive()
    lease.end()
