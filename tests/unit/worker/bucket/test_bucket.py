"""The worker's bucket while S3 has bad minutes."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Callable

import pytest
from botocore.awsrequest import AWSRequest, AWSResponse
from botocore.compat import HTTPHeaders
from botocore.exceptions import ClientError, EndpointConnectionError, ReadTimeoutError
from PIL import Image

from tests.unit.worker.conftest import BUCKET
from userdata.job.image_request import image_requests
from userdata.job.job import Job
from userdata.record.drawn_with import DrawnWith
from userdata.record.image_metadata import describe_image, png_with_record
from userdata.worker.bucket.bucket import PATIENCE, Bucket

KEY = "runs/x/status.json"


class Outage:
    """An S3 that answers with `answer` until `over`, by a clock that runs only while somebody pauses."""

    def __init__(self, answer: Callable[[AWSRequest], AWSResponse], *, over: float = float("inf")) -> None:
        self.answered = 0
        self._answer = answer
        self._now = 0.0
        self._over = over

    def bucket(self, monkeypatch: pytest.MonkeyPatch) -> Bucket:
        """A bucket of this S3."""
        monkeypatch.setattr("time.sleep", self._pause)
        bucket = Bucket(BUCKET, patience=dataclasses.replace(PATIENCE, sleep=self._pause))
        bucket._client.meta.events.register_first("before-send.s3", self._send)  # type: ignore[arg-type]  # an answer, where the stubs say None
        return bucket

    def _pause(self, seconds: float) -> None:
        self._now += seconds

    def _send(self, request: AWSRequest, **_: object) -> AWSResponse | None:
        if self._now >= self._over:
            return None
        self.answered += 1
        return self._answer(request)


class Body(io.BytesIO):
    """A body as urllib3 gives it."""

    def stream(self) -> list[bytes]:
        return [self.read()]


def refusal(status: int, code: str, message: str = "not now") -> Callable[[AWSRequest], AWSResponse]:
    body = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>".encode()
    headers = HTTPHeaders.from_dict({"Content-Length": str(len(body))})
    return lambda request: AWSResponse(str(request.url), status, headers, Body(body))


def silence(request: AWSRequest) -> AWSResponse:
    raise ReadTimeoutError(endpoint_url=str(request.url))


def no_network(request: AWSRequest) -> AWSResponse:
    raise EndpointConnectionError(endpoint_url=str(request.url))


@pytest.mark.parametrize(
    "answer",
    [
        *(refusal(503, "ServiceUnavailable"), refusal(503, "SlowDown"), refusal(500, "InternalError")),
        *(silence, no_network),
        *(refusal(403, "RequestTimeTooSkewed"), refusal(403, "RequestExpired"), refusal(400, "ExpiredToken")),
        refusal(403, "SignatureDoesNotMatch", "Signature not yet current: 20260102T030405Z is still later than ..."),
    ],
    ids=["503", "SlowDown", "500", "silence", "no network", "clock", "expired", "token", "signed in the future"],
)
def test_an_outage_of_a_minute_is_bridged(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch, answer: Callable[[AWSRequest], AWSResponse]
) -> None:
    outage = Outage(answer, over=60)
    patient = outage.bucket(monkeypatch)
    patient.put(KEY, b"{}")
    assert outage.answered > 5
    assert bucket.get(KEY) == b"{}"
    assert patient.requests.put == 1


@pytest.mark.parametrize("call", [lambda bucket: bucket.get(KEY), lambda bucket: bucket.keys("runs/")])
def test_reading_is_as_patient_as_writing(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch, call: Callable[[Bucket], object]
) -> None:
    bucket.put(KEY, b"{}")
    patient = Outage(refusal(503, "ServiceUnavailable"), over=60).bucket(monkeypatch)
    assert call(patient) == call(bucket)


def test_an_outage_without_an_end_is_told_by_its_cause(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ClientError, match="ServiceUnavailable"):
        Outage(refusal(503, "ServiceUnavailable")).bucket(monkeypatch).put(KEY, b"{}")


@pytest.mark.parametrize("code", ["AccessDenied", "SignatureDoesNotMatch"])
def test_what_does_not_pass_is_not_waited_for(bucket: Bucket, monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    outage = Outage(refusal(403, code))
    with pytest.raises(ClientError, match=code):
        outage.bucket(monkeypatch).put(KEY, b"{}")
    assert outage.answered == 1


def test_of_two_writers_of_a_key_the_first_one_wins(bucket: Bucket) -> None:
    assert bucket.put_once(KEY, b"{}")
    assert not bucket.put_once(KEY, b"[]")
    assert bucket.get(KEY) == b"{}"
    _, tag = bucket.get_with_tag(KEY)
    assert tag
    assert bucket.put_once(KEY, b"[]", over=tag)
    assert not bucket.put_once(KEY, b"3", over=tag), "somebody else has written meanwhile"
    assert not bucket.put_once("runs/y/status.json", b"3", over=tag)
    assert bucket.get(KEY) == b"[]"
    assert bucket.get("runs/y/status.json") is None


def test_an_answer_that_is_lost_on_its_way_makes_no_second_writer(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S3 has stored it, the network breaks, and the repeated request is refused."""
    bucket.put_once(KEY, b"{}")
    outage = Outage(silence, over=1)
    assert outage.bucket(monkeypatch).put_once(KEY, b"{}")
    assert outage.answered


def test_a_writer_that_meets_another_one_tries_again(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    outage = Outage(refusal(409, "ConditionalRequestConflict"), over=5)
    assert outage.bucket(monkeypatch).put_once(KEY, b"{}")
    assert outage.answered > 1
    assert bucket.get(KEY) == b"{}"


RECORD, IMAGE = "runs/x/0.json", "runs/x/0.png"


def test_a_record_without_its_image_is_replaced_by_that_of_the_image(bucket: Bucket) -> None:
    """Another machine has died between the two."""
    bucket.put_once(RECORD, b"record of a")
    bucket.put_picture((RECORD, b"record of b"), (IMAGE, b"image of b"))
    assert (bucket.get(RECORD), bucket.get(IMAGE)) == (b"record of b", b"image of b")


@pytest.mark.parametrize("lies_there", [b"record of a", None])
def test_who_finds_anothers_image_leaves_it_with_the_record_inside(bucket: Bucket, lies_there: bytes | None) -> None:
    """The image's machine has died before it put its own record in place of a dead machine's, or has lost it."""
    job = Job()
    drawn = DrawnWith(indices=[0], execution="eager", precision="float32", device="cpu")
    record = describe_image(
        job, image_requests(job), 0, run_id="x", seconds=1, drawn_with=drawn, versions={"diffusers": "1"}
    )
    image = png_with_record(Image.new("RGB", (8, 8)), record)
    bucket.put_once(IMAGE, image)
    if lies_there:
        bucket.put_once(RECORD, lies_there)
    bucket.put_picture((RECORD, b"record of c"), (IMAGE, b"image of c"))
    assert (bucket.get(RECORD), bucket.get(IMAGE)) == (record.to_json(), image)


def test_a_file_without_a_record_in_place_of_an_image_is_left_alone(bucket: Bucket) -> None:
    bucket.put_once(IMAGE, b"a person's own")
    bucket.put_picture((RECORD, b"record of c"), (IMAGE, b"image of c"))
    assert (bucket.get(RECORD), bucket.get(IMAGE)) == (b"record of c", b"a person's own")


def test_a_part_of_an_object_is_read_alone(bucket: Bucket) -> None:
    bucket.put(KEY, b"0123456789")
    assert [bucket.get_part(KEY, at, 4) for at in (0, 8, 10, 99)] == [b"0123", b"89", b"", b""]
    assert bucket.get_part("runs/y/status.json", 0, 4) is None


def test_keys_come_in_order_from_wherever_one_begins(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(5):
        bucket.put(f"runs/x/units/0-{number}.json", b"")
    listed = bucket._client.list_objects_v2
    monkeypatch.setattr(bucket._client, "list_objects_v2", lambda **asked: listed(**asked, MaxKeys=2))
    found = list(bucket.sorted_keys("runs/x/units/", after="runs/x/units/0-1.json"))
    assert found == [f"runs/x/units/0-{number}.json" for number in (2, 3, 4)]
    assert bucket.keys("runs/x/units/") > set(found)


def test_a_key_that_is_not_there_is_none(bucket: Bucket) -> None:
    assert bucket.get(KEY) is None


def test_of_an_object_that_is_too_long_no_more_is_read_than_shows_that(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket.put("runs/a/status.json", b"0123456789")
    monkeypatch.setattr("userdata.worker.bucket.bucket.MOST_BYTES", 4)
    assert bucket.get("runs/a/status.json") == b"01234"
