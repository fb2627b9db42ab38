"""What a caller lets machines meet of S3 and SQS, and what nobody else meets."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionClosedError

from scripts.local.local_cloud import LocalCloud

pytestmark = pytest.mark.local_cloud
ONCE = Config(retries={"total_max_attempts": 1})


@pytest.fixture
def calm(cloud: LocalCloud) -> Iterator[LocalCloud]:
    yield cloud
    cloud.faults.end()


def of_a_machine(cloud: LocalCloud, service: str) -> Any:
    role = "arn:aws:iam::123456789012:role/worker"
    keys = cloud.client("sts").assume_role(RoleArn=role, RoleSessionName="i-1")["Credentials"]
    return boto3.client(
        service,  # type: ignore[call-overload]
        endpoint_url=cloud.endpoint,
        region_name=cloud.account.region,
        aws_access_key_id=keys["AccessKeyId"],
        aws_secret_access_key=keys["SecretAccessKey"],
        aws_session_token=keys["SessionToken"],
        config=ONCE,
    )


@pytest.mark.parametrize(
    ("kind", "service", "told"),
    [
        *(("busy", "s3", "SlowDown"), ("clock", "s3", "RequestTimeTooSkewed")),
        *(("busy", "sqs", "ServiceUnavailable"), ("clock", "sqs", "Signature expired")),
    ],
)
def test_machines_are_refused_and_a_person_is_not(calm: LocalCloud, kind: Any, service: Any, told: str) -> None:
    def ask(client: Any) -> Any:
        return client.list_buckets() if service == "s3" else client.list_queues()

    fault = calm.faults.begin(kind, service, seconds=0)
    ask(calm.client(service))
    assert fault.met == 0
    with pytest.raises(ClientError, match=told):
        ask(of_a_machine(calm, service))
    ask(of_a_machine(calm, service))
    assert fault.met == 1


def test_of_the_connections_that_break_some_break_behind_the_effect(calm: LocalCloud) -> None:
    s3 = of_a_machine(calm, "s3")
    bucket = f"bucket-{uuid.uuid4().hex[:8]}"
    s3.create_bucket(Bucket=bucket)
    calm.faults.begin("reset", "s3", seconds=60, seed=1)
    for number in range(8):
        with pytest.raises(ConnectionClosedError):
            s3.put_object(Bucket=bucket, Key=str(number), Body=b"1")
    assert 0 < calm.client("s3").list_objects_v2(Bucket=bucket)["KeyCount"] < 8


def test_a_message_comes_twice_comes_after_its_deletion_and_comes_out_of_order(calm: LocalCloud) -> None:
    sqs = of_a_machine(calm, "sqs")
    url = sqs.create_queue(QueueName=f"queue-{uuid.uuid4().hex[:8]}")["QueueUrl"]

    def received() -> dict[str, Any] | None:
        found: list[dict[str, Any]] = sqs.receive_message(QueueUrl=url, VisibilityTimeout=600).get("Messages", [])
        return found[0] if found else None

    sqs.send_message(QueueUrl=url, MessageBody="a")
    calm.faults.begin("twice", "sqs", seconds=60)
    first = received()
    calm.faults.end()
    second = received()
    assert first
    assert second
    assert first["MessageId"] == second["MessageId"]
    assert received() is None

    calm.faults.begin("kept", "sqs", seconds=60)
    sqs.delete_message(QueueUrl=url, ReceiptHandle=second["ReceiptHandle"])
    calm.faults.end()
    again = received()
    assert again
    sqs.delete_message(QueueUrl=url, ReceiptHandle=again["ReceiptHandle"])
    assert received() is None

    for number in range(8):
        sqs.send_message(QueueUrl=url, MessageBody=str(number))
    calm.faults.begin("order", "sqs", seconds=60)
    bodies = [message["Body"] for message in iter(received, None)]
    assert bodies != sorted(bodies)
    assert sorted(bodies) == [str(number) for number in range(8)]
