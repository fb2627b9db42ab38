"""The metadata service is asked with a token or not at all."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler

import pytest

from tests.unit.boot.loopback import reply, serving
from userdata.contract.metadata_service import MetadataService, NoAnswerError


@pytest.mark.parametrize("code", [403, 404, 405, 500])
def test_without_a_token_nothing_is_asked(code: int) -> None:
    """Version 1, which asks without one, answers to whoever can make the machine send a request."""
    with serving(lambda handler: reply(handler, code if handler.command == "PUT" else 200, b"an answer")) as server:
        with pytest.raises(NoAnswerError, match=f"did not answer api/token: .*{code}"):
            MetadataService(server.url).get("instance-id")
        assert [path for path, _ in server.asked] == ["/latest/api/token"]


def test_one_token_serves_until_its_time_is_over() -> None:
    tokens = iter([b"first", b"second"])
    good = ["first", "first", "second"]

    def answer(handler: BaseHTTPRequestHandler) -> None:
        if handler.command == "PUT":
            return reply(handler, body=next(tokens))
        known = handler.headers["X-aws-ec2-metadata-token"] == good.pop(0)
        return reply(handler, 200 if known else 401, b"an answer")

    with serving(answer) as server:
        service = MetadataService(server.url)
        assert [service.get("instance-id") for _ in range(2)] == ["an answer", "an answer"]
        with pytest.raises(NoAnswerError, match="401"):
            service.get("instance-id")
        good.append("second")
        assert service.get("instance-id") == "an answer"


def test_a_service_that_does_not_answer_in_time_is_told() -> None:
    asked_no_more = threading.Event()

    def never(_handler: BaseHTTPRequestHandler) -> None:
        asked_no_more.wait(10)

    with serving(never) as server:
        with pytest.raises(NoAnswerError, match="timed out"):
            MetadataService(server.url, seconds=0.1).get("instance-id")
        asked_no_more.set()
