"""A conditional write to S3 has one winner, whoever else writes."""

from __future__ import annotations

import contextlib
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest
from botocore.exceptions import ClientError
from moto.s3.models import FakeKey, S3Backend

from scripts.local.local_cloud import LocalCloud

pytestmark = pytest.mark.local_cloud


@pytest.fixture
def key(cloud: LocalCloud) -> dict[str, str]:
    bucket = f"bucket-{uuid.uuid4().hex[:8]}"
    cloud.client("s3").create_bucket(Bucket=bucket)
    return {"Bucket": bucket, "Key": "runs/a/1.png"}


def answer(call: Any, **given: Any) -> int:
    try:
        return int(call(**given)["ResponseMetadata"]["HTTPStatusCode"])
    except ClientError as error:
        return int(error.response["ResponseMetadata"]["HTTPStatusCode"])


def test_of_two_writers_at_a_time_the_first_alone_writes_a_key(
    cloud: LocalCloud, key: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    look, both_have_looked = S3Backend.get_object, threading.Barrier(2)

    def look_and_wait(backend: Any, *given: Any, **more: Any) -> Any:
        found = look(backend, *given, **more)
        with contextlib.suppress(threading.BrokenBarrierError):
            both_have_looked.wait(0.5)
        return found

    monkeypatch.setattr(S3Backend, "get_object", look_and_wait)
    put = partial(cloud.client("s3").put_object, **key, IfNoneMatch="*")
    with ThreadPoolExecutor(2) as pool:
        answers = [pool.submit(answer, put, Body=body) for body in (b"1", b"2")]
        assert sorted(one.result() for one in answers) == [200, 412]


def test_who_reads_an_object_that_is_replaced_meanwhile_gets_it_as_it_was(
    cloud: LocalCloud, key: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    value, s3 = FakeKey.__dict__["value"], cloud.client("s3")
    s3.put_object(**key, Body=b"1")

    def replaced_meanwhile(of_first: FakeKey) -> bytes:
        monkeypatch.setattr(FakeKey, "value", value)
        s3.put_object(**key, Body=b"2")
        return bytes(of_first.value)

    monkeypatch.setattr(FakeKey, "value", property(replaced_meanwhile, value.fset))
    assert [s3.get_object(**key)["Body"].read() for _ in range(2)] == [b"1", b"2"]


def test_a_key_that_changed_or_is_gone_is_not_written_by_its_etag(cloud: LocalCloud, key: dict[str, str]) -> None:
    s3 = cloud.client("s3")
    assert answer(s3.put_object, **key, Body=b"", IfMatch='"any"') == 404
    before = s3.put_object(**key, Body=b"1")["ETag"]
    after = s3.put_object(**key, Body=b"2", IfMatch=before)["ETag"]
    assert answer(s3.put_object, **key, Body=b"3", IfMatch=before) == 412
    assert answer(s3.delete_object, **key, IfMatch=before) == 412
    assert answer(s3.delete_object, **key, IfMatch=after) == 204
    assert answer(s3.put_object, **key, Body=b"", IfNoneMatch='"any"') == 501
    assert answer(s3.put_object, **key, Body=b"", IfNoneMatch="*") == 200
    copy = partial(s3.copy_object, **key, CopySource=f"{key['Bucket']}/{key['Key']}")
    assert answer(copy, MetadataDirective="REPLACE") == 200
    assert answer(copy, IfNoneMatch="*") == 501
