"""Faults of S3 and SQS that a caller lets machines meet for a while, and what SQS may do with messages at any time."""

from __future__ import annotations

import collections
import contextlib
import json
import math
import random
import re
import socket
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, NoReturn

from moto.sqs.models import SQSBackend
from werkzeug.wrappers import Response

from scripts.local.aws.replaced import replaced

Service = Literal["s3", "sqs"]
# "busy" answers 503, "clock" refuses a signature as of another time, "slow" answers after SLOW_SECONDS; "reset" breaks
# the connection before the request has its effect, or behind that, so that the answer is lost. What SQS may do with
# messages: "twice" delivers one again while it is hidden, "kept" delivers one again that was deleted, "order" delivers
# them in any order.
# Source: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/standard-queues.html
Kind = Literal["busy", "clock", "slow", "reset", "twice", "kept", "order"]
SLOW_SECONDS = 0.7
SIGNED_FOR = re.compile(r"Credential=[^/]+/\d+/[^/]+/([^/]+)/")


@dataclass
class Fault:
    """A fault of `services`, for `seconds` from the first request that it meets, which meets a `share` of the requests.

    `met` counts what it has met.
    """

    kind: Kind
    services: tuple[Service, ...]
    seconds: float
    share: float
    chance: random.Random = field(repr=False)
    met: int = 0
    _until: float = math.inf

    def meets(self) -> bool:
        """Whether it meets what is asked for now, which it counts."""
        now = time.monotonic()
        found = now < self._until and self.chance.random() < self.share
        if found and not self.met:
            self._until = now + self.seconds
        self.met += found
        return found


class Faults:
    """Stands in front of the API's WSGI application, and lets the requests of machines meet a fault.

    Those are signed with the credentials of a role, and what a person asks for is not. There is one fault at a time.
    """

    def __init__(self, api: Any) -> None:
        self._api = api
        self._fault: Fault | None = None

    def begin(self, kind: Kind, *services: Service, seconds: float, share: float = 1.0, seed: int = 0) -> Fault:
        """Begins a fault in the place of an earlier one. `seed` decides which requests are among the `share`."""
        self._fault = Fault(kind, services, seconds, share, random.Random(seed))  # noqa: S311
        return self._fault

    def end(self) -> None:
        """Ends the fault, if there is one."""
        self._fault = None

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """The answer to one request. Raises `ConnectionResetError`, by which the server breaks the connection."""
        service = _service(environ)
        fault, kind = self._fault, self._kind(service, "busy", "clock", "slow", "reset")
        if kind == "slow":
            time.sleep(SLOW_SECONDS)
        elif fault and kind == "reset":
            if fault.chance.random() < 0.5:
                collections.deque(self._api(environ, lambda *_: None), maxlen=0)  # its effect, and no answer
            _break(environ)
        api = _refusal(str(service), kind) if kind in ("busy", "clock") else self._api
        answer: Iterable[bytes] = api(environ, start_response)
        return answer

    @contextlib.contextmanager
    def of_messages(self) -> Iterator[None]:
        """Lets the queues of the account meet the faults of messages while the context lasts."""
        receive, delete = SQSBackend.receive_message, SQSBackend.delete_message

        def receive_with_faults(backend: Any, queue_name: str, *given: Any, **more: Any) -> Any:
            if self._kind("sqs", "order") and self._fault:
                self._fault.chance.shuffle(backend.get_queue(queue_name)._messages)
            received = receive(backend, queue_name, *given, **more)
            if received and self._kind("sqs", "twice"):
                _show_again(backend, queue_name, received[0].receipt_handle)
            return received

        def delete_with_faults(backend: Any, queue_name: str, receipt_handle: str) -> None:
            if self._kind("sqs", "kept"):
                _show_again(backend, queue_name, receipt_handle)
            else:
                delete(backend, queue_name, receipt_handle)

        replacements = {
            (SQSBackend, "receive_message"): receive_with_faults,
            (SQSBackend, "delete_message"): delete_with_faults,
        }
        with replaced(replacements):
            yield

    def _kind(self, service: str | None, *kinds: Kind) -> Kind | None:
        """The kind of the fault that a request to `service` meets, if it is one of `kinds`."""
        fault = self._fault
        return fault.kind if fault and service in fault.services and fault.kind in kinds and fault.meets() else None


def _service(environ: dict[str, Any]) -> str | None:
    """The service that a machine asks; None for a request of anybody else."""
    if "HTTP_X_AMZ_SECURITY_TOKEN" not in environ:
        return None
    found = SIGNED_FOR.search(environ.get("HTTP_AUTHORIZATION", ""))
    return found[1] if found else None


def _break(environ: dict[str, Any]) -> NoReturn:
    """Breaks the connection, which the server would keep for the next request."""
    with contextlib.suppress(OSError):
        environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
    raise ConnectionResetError


def _refusal(service: str, kind: Kind) -> Response:
    status, code, message = {
        ("s3", "busy"): (503, "SlowDown", "Please reduce your request rate."),
        ("s3", "clock"): (403, "RequestTimeTooSkewed", "The difference between the two times is too large."),
        ("sqs", "busy"): (503, "ServiceUnavailable", "The request has failed due to a temporary failure."),
        ("sqs", "clock"): (400, "InvalidSignatureException", "Signature expired: it is now earlier than that."),
    }[service, kind]
    if service == "s3":
        body = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>"
        return Response(body, status=status, content_type="application/xml")
    said = json.dumps({"__type": f"com.amazonaws.sqs#{code}", "message": message})
    return Response(said, status=status, content_type="application/x-amz-json-1.0")


def _show_again(backend: Any, queue_name: str, receipt_handle: str) -> None:
    for message in backend.get_queue(queue_name)._messages:
        if message.had_receipt_handle(receipt_handle):
            message.change_visibility(0)
