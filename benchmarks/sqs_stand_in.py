"""A queue on a loopback port that knows what the worker asks of SQS. It hands a message out as soon as it is sent.

A stand-in and not an emulation of SQS, so that a benchmark needs nothing beyond what the worker needs itself.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from typing import Any

from benchmarks.loopback import serving


class Queue:
    """The messages of the queue whose name ends with `kind`; every other queue is empty."""

    def __init__(self, kind: str) -> None:
        self.endpoint = ""
        self._kind = kind
        self._waiting: deque[str] = deque()
        self._change = threading.Condition()
        self._deleted = 0

    def send(self, body: str) -> None:
        """Sends a message."""
        with self._change:
            self._waiting.append(body)
            self._change.notify_all()

    def wait_until_deleted(self, count: int, *, seconds: float) -> bool:
        """Whether `count` messages in all are deleted within `seconds`."""
        with self._change:
            return self._change.wait_for(lambda: self._deleted >= count, seconds)

    def answer(self, action: str, request: dict[str, Any]) -> dict[str, Any]:
        """The answer to a request of SQS's JSON protocol."""
        if action == "GetQueueUrl":
            return {"QueueUrl": f"{self.endpoint}/000000000000/{request['QueueName']}"}
        with self._change:
            if action == "ReceiveMessage":
                mine = request["QueueUrl"].endswith(self._kind)
                self._change.wait_for(lambda: mine and self._waiting, request.get("WaitTimeSeconds", 0))
                bodies = [self._waiting.popleft()] if mine and self._waiting else []
                told = {"MessageId": "1", "ReceiptHandle": "1", "Attributes": {"ApproximateReceiveCount": "1"}}
                return {"Messages": [{**told, "Body": body} for body in bodies]}
            if action == "SendMessageBatch":
                self._waiting.extend(one["MessageBody"] for one in request["Entries"])
                self._change.notify_all()
                sent = [
                    {"Id": one["Id"], "MessageId": "1", "MD5OfMessageBody": _md5(one)} for one in request["Entries"]
                ]
                return {"Successful": sent, "Failed": []}
            if action == "DeleteMessage":
                self._deleted += 1
                self._change.notify_all()
        return {}


def _md5(entry: dict[str, Any]) -> str:
    """What botocore compares with the message that it has sent."""
    return hashlib.md5(entry["MessageBody"].encode(), usedforsecurity=False).hexdigest()


@contextmanager
def sqs_stand_in(kind: str) -> Iterator[Queue]:
    """Serves the queue while it is open."""
    queue = Queue(kind)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            content = json.dumps(queue.answer(self.headers["X-Amz-Target"].rpartition(".")[2], request)).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/x-amz-json-1.0")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with serving(Handler) as queue.endpoint:
        yield queue
