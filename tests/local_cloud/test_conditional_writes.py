"""A conditional write to S3 has one winner, whoever else writes."""

from __future__ import annotations

import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import ClientError

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


def test_of_writers_at_a_time_the_first_alone_writes_a_key(cloud: LocalCloud, key: dict[str, str]) -> None:
    put = cloud.client("s3").put_object

    def write(number: int) -> int:
        return answer(put, **key, Body=str(number).encode() * 100_000, IfNoneMatch="*")

    with ThreadPoolExecutor(8) as pool:
        assert Counter(pool.map(write, range(16))) == {200: 1, 412: 15}


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
