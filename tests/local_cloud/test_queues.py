"""Queues of a stack behave as SQS documents it."""

from __future__ import annotations

import json
import time
import uuid
from typing import Any

import pytest
from botocore.exceptions import ClientError

from scripts.local.aws import queues
from scripts.local.local_cloud import LocalCloud
from tests.local_cloud.conftest import Stack
from tests.local_cloud.test_stack import TLS_ONLY

pytestmark = pytest.mark.local_cloud


def queue_template(name: str, **properties: Any) -> dict[str, Any]:
    dead = {"deadLetterTargetArn": {"Fn::GetAtt": ["Dead", "Arn"]}, "maxReceiveCount": 1}
    queue = {"QueueName": name, "VisibilityTimeout": 120, "RedrivePolicy": dead, **properties}
    policy = {"Queues": [{"Ref": "Queue"}], "PolicyDocument": TLS_ONLY}
    return {
        "Resources": {
            "Dead": {"Type": "AWS::SQS::Queue"},
            "Queue": {"Type": "AWS::SQS::Queue", "Properties": queue},
            "Policy": {"Type": "AWS::SQS::QueuePolicy", "Properties": policy},
        }
    }


@pytest.fixture
def name() -> str:
    return f"queue-{uuid.uuid4().hex[:8]}"


def attributes(cloud: LocalCloud, url: str) -> dict[str, str]:
    found: dict[str, str] = cloud.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    return found


def test_a_queue_is_changed_in_place_and_keeps_its_messages(stack: Stack, cloud: LocalCloud, name: str) -> None:
    sqs = cloud.client("sqs")
    stack.create(queue_template(name, MessageRetentionPeriod=604800))
    url = stack.physical_id("Queue")
    assert url.endswith(f"/{name}")
    sqs.send_message(QueueUrl=url, MessageBody="a")
    before = attributes(cloud, url)
    assert json.loads(before["Policy"]) == TLS_ONLY
    assert (before["MessageRetentionPeriod"], before["VisibilityTimeout"]) == ("604800", "120")
    stack.update(queue_template(name, VisibilityTimeout=60))
    after = attributes(cloud, stack.physical_id("Queue"))
    assert (stack.physical_id("Queue"), after["ApproximateNumberOfMessages"]) == (url, "1")
    # What a template does not say any more is SQS's default again.
    assert (after["MessageRetentionPeriod"], after["VisibilityTimeout"]) == ("345600", "60")
    assert json.loads(after["Policy"]) == TLS_ONLY
    assert json.loads(after["RedrivePolicy"])["maxReceiveCount"] == 1


def test_a_name_is_free_a_minute_after_its_queue_is_gone(
    stack: Stack, cloud: LocalCloud, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack.create(queue_template(name))
    stack.delete()
    again = Stack(cloud)
    assert "You must wait 60 seconds after deleting a queue" in again.fail_to_create(queue_template(name))
    again.delete()
    later = time.monotonic() + queues.NAME_IS_TAKEN_SECONDS
    monkeypatch.setattr(queues, "monotonic", lambda: later)
    cloud.client("sqs").create_queue(QueueName=name)


@pytest.mark.parametrize(
    ("properties", "refusal"),
    [
        ({"VisibilityTimeout": 43_201}, "Invalid value for the parameter VisibilityTimeout"),
        ({"MessageRetentionPeriod": 1_209_601}, "Invalid value for the parameter MessageRetentionPeriod"),
        ({"ReceiveMessageWaitTimeSeconds": 21}, "Invalid value for the parameter ReceiveMessageWaitTimeSeconds"),
        ({"QueueName": "a" * 81}, "1 to 80 in length"),
        ({"FifoQueue": True}, "does not emulate FifoQueue of AWS::SQS::Queue"),
        (
            {"RedrivePolicy": {"deadLetterTargetArn": {"Fn::GetAtt": ["Dead", "Arn"]}, "maxReceiveCount": 1001}},
            "Invalid value for maxReceiveCount",
        ),
    ],
    ids=lambda value: "" if isinstance(value, str) else next(iter(value)),
)
def test_what_sqs_does_not_take_is_refused(stack: Stack, name: str, properties: dict[str, Any], refusal: str) -> None:
    assert refusal in stack.fail_to_create(queue_template(name, **properties))


def test_a_name_that_is_taken_is_refused(stack: Stack, cloud: LocalCloud, name: str) -> None:
    cloud.client("sqs").create_queue(QueueName=name)
    assert f"with identifier '{name}' already exists" in stack.fail_to_create(queue_template(name))
    assert cloud.client("sqs").get_queue_url(QueueName=name), "the rollback deletes nobody else's queue"


def test_only_the_latest_receipt_of_a_message_in_flight_counts(cloud: LocalCloud, name: str) -> None:
    sqs = cloud.client("sqs")
    queue = {"QueueUrl": sqs.create_queue(QueueName=name)["QueueUrl"]}
    sqs.send_message(**queue, MessageBody="a")
    (first,) = sqs.receive_message(**queue)["Messages"]
    old = {**queue, "ReceiptHandle": first["ReceiptHandle"]}
    sqs.change_message_visibility(**old, VisibilityTimeout=0)
    with pytest.raises(ClientError, match="not available for visibility timeout change"):
        sqs.change_message_visibility(**old, VisibilityTimeout=120)
    (second,) = sqs.receive_message(**queue)["Messages"]
    with pytest.raises(ClientError, match="not available for visibility timeout change"):
        sqs.change_message_visibility(**old, VisibilityTimeout=120)
    sqs.delete_message(**old)  # succeeds, and deletes nothing
    latest = {**queue, "ReceiptHandle": second["ReceiptHandle"]}
    sqs.change_message_visibility(**latest, VisibilityTimeout=120)
    sqs.delete_message(**latest)
    with pytest.raises(ClientError, match="does not exist"):
        sqs.change_message_visibility(**latest, VisibilityTimeout=120)


def test_of_messages_that_are_sent_together_a_bad_one_fails_alone_and_bytes_count(cloud: LocalCloud, name: str) -> None:
    sqs = cloud.client("sqs")
    queue = {"QueueUrl": sqs.create_queue(QueueName=name)["QueueUrl"]}
    entries = [{"Id": "good", "MessageBody": "a"}, {"Id": "bad", "MessageBody": "\ufffe"}]
    answer = sqs.send_message_batch(**queue, Entries=entries)
    assert [one["Id"] for one in answer["Successful"]] == ["good"]
    assert [(one["Id"], one["Code"], one["SenderFault"]) for one in answer["Failed"]] == [
        ("bad", "InvalidMessageContents", True)
    ]
    longest = 2**20
    halves = [{"Id": str(index), "MessageBody": "ä" * (longest // 4)} for index in range(2)]
    assert len(sqs.send_message_batch(**queue, Entries=halves)["Successful"]) == 2
    with pytest.raises(ClientError, match="BatchRequestTooLong"):
        sqs.send_message_batch(**queue, Entries=[*halves, entries[0] | {"Id": "more"}])
    with pytest.raises(ClientError, match="Message must be shorter than"):
        sqs.send_message(**queue, MessageBody="ä" * (longest // 2 + 1))
