"""What goes wrong between a machine and the services around it."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

from tests.machine.booted.booted_machine import BootedMachine
from tests.machine.booted.gateway import Answer, Fault, Request
from tests.machine.site.waiting import PATIENCE, wait_for

SLOW_DOWN = Answer(
    503,
    b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>",
    {"Content-Type": "application/xml"},
)
UNAVAILABLE = Answer(503)
LARGEST_SKEW = timedelta(minutes=15)  # that AWS accepts


def for_a_while(seconds: float, answer: Answer) -> Fault:
    """Every request hears `answer`, until so long after the first one."""
    began: list[float] = []

    def fault(request: Request) -> Answer | None:
        began.append(time.monotonic())
        return answer if time.monotonic() - began[0] < seconds else None

    return fault


def slowly(seconds: float) -> Fault:
    """Each request waits so long for its answer."""

    def fault(request: Request) -> Answer | None:
        time.sleep(seconds)
        return None

    return fault


def to_all_but_cloud_init(fault: Fault) -> Fault:
    """`fault` for whatever is ours.

    cloud-init itself gives up at the first 5xx for its token, or for its metadata (seen with 22.4), and then nothing of
    ours ever runs: only the alarm outside the machine ends such an instance.
    """

    def ours(request: Request) -> Answer | None:
        agent = {name.lower(): value for name, value in request.headers.items()}.get("user-agent", "")
        return None if agent.startswith("Cloud-Init/") else fault(request)

    return ours


def clock_off_by(off: timedelta) -> Fault:
    """AWS's clock and the machine's differ: what was signed at another time than AWS's is refused."""

    def fault(request: Request) -> Answer | None:
        signed = {name.lower(): value for name, value in request.headers.items()}.get("x-amz-date")
        if signed is None:
            return None
        now = datetime.now(UTC) + off
        at = datetime.strptime(signed, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        if abs(now - at) < LARGEST_SKEW:
            return None
        body = (
            "<Error><Code>RequestTimeTooSkewed</Code><Message>The difference between the request time and the current "
            f"time is too large.</Message><RequestTime>{signed}</RequestTime>"
            f"<ServerTime>{now:%Y-%m-%dT%H:%M:%SZ}</ServerTime></Error>"
        )
        return Answer(
            403, body.encode(), {"Content-Type": "application/xml", "Date": format_datetime(now, usegmt=True)}
        )

    return fault


def missing(part_of_path: str) -> Fault:
    """Whatever has this in its path does not exist, for somebody who may not list the bucket."""
    refusal = b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"
    return lambda request: Answer(403, refusal) if part_of_path in request.path else None


class LastHeard:
    """Waits for a request, which is answered as usual, and is the last that the service hears of this boot.

    So nothing more is done until the test cuts the power, however late it comes to that.
    """

    def __init__(self, machine: BootedMachine, method: str, part_of_path: str) -> None:
        self._machine = machine
        self._method = method
        self._part = part_of_path
        self._event = threading.Event()
        self._boot: int | None = None

    def __call__(self, request: Request) -> Answer | None:
        if self._event.is_set() and self._machine.pid == self._boot:
            wait_for(lambda: self._machine.pid != self._boot, f"{self._machine.name} to lose its power")
            return UNAVAILABLE
        if not self._event.is_set() and request.method == self._method and self._part in request.path:
            self._boot = self._machine.pid
            self._event.set()
        return None

    def wait(self, seconds: float = PATIENCE) -> None:
        assert self._event.wait(seconds), f"no {self._method} of {self._part} within {seconds:.0f} s"
