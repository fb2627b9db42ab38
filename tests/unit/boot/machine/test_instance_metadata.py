from http.server import BaseHTTPRequestHandler

import pytest

from tests.unit.boot.loopback import reply, serving
from userdata.boot.machine.instance_metadata import Instance, read_instance
from userdata.boot.machine.step_error import StepError
from userdata.contract.patience import Patience

ANSWERS = {
    "/latest/meta-data/instance-id": b"i-0123456789abcdef0",
    "/latest/meta-data/instance-type": b"g5.xlarge",
    "/latest/meta-data/instance-life-cycle": b"spot",
    "/latest/meta-data/placement/region": b"eu-central-1",
}
INSTANCE = Instance(
    instance_id="i-0123456789abcdef0", instance_type="g5.xlarge", region="eu-central-1", life_cycle="spot"
)
FOUR_TIMES = Patience(attempts=4, sleep=lambda seconds: None)


def version_two(handler: BaseHTTPRequestHandler) -> None:
    if handler.path == "/latest/api/token":
        code = 200 if handler.command == "PUT" and handler.headers["X-aws-ec2-metadata-token-ttl-seconds"] else 400
        reply(handler, code, b"secret")
    else:
        known = handler.headers["X-aws-ec2-metadata-token"] == "secret"
        reply(handler, 200 if known else 401, ANSWERS[handler.path] if known else b"")


@pytest.mark.parametrize("slash", ["", "/"])
def test_it_asks_with_a_token_where_the_environment_says(slash: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    with serving(version_two) as server:
        monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", server.url + slash)
        assert read_instance(patience=FOUR_TIMES) == INSTANCE


def test_a_service_that_is_not_ready_is_asked_again() -> None:
    refusals = [503, 503, 404]

    def slow(handler: BaseHTTPRequestHandler) -> None:
        if refusals:
            reply(handler, refusals.pop())
        else:
            version_two(handler)

    with serving(slow) as server:
        assert read_instance(server.url, patience=FOUR_TIMES) == INSTANCE


def test_a_service_that_never_answers_is_told() -> None:
    with (
        serving(lambda handler: reply(handler, 503)) as server,
        pytest.raises(StepError, match="could not be identified.*503.*must be enabled"),
    ):
        read_instance(server.url, patience=FOUR_TIMES)
    assert len(server.asked) == 4


@pytest.mark.parametrize("answer", ["on-demand", "scheduled", "capacity-block"])
def test_whatever_is_not_spot_is_billed_on_demand(answer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ANSWERS, "/latest/meta-data/instance-life-cycle", answer.encode())
    with serving(version_two) as server:
        assert read_instance(server.url, patience=FOUR_TIMES).life_cycle == "on-demand"
