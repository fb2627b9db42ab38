"""AWS::SQS::Queue and AWS::SQS::QueuePolicy. moto's own class passes over limits and most updates."""

from __future__ import annotations

import contextlib
import json
from typing import Any

from scripts.local.aws.account import Account
from scripts.local.cloudformation.resources.resource import Resource, ResourceType, Wanted

# The properties that are attributes of the same name, and SQS's limits for the numbers among them.
# Source: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_CreateQueue.html
LIMITS = {
    "MessageRetentionPeriod": (60, 1_209_600),
    "ReceiveMessageWaitTimeSeconds": (0, 20),
    "VisibilityTimeout": (0, 43_200),
}
RECEIVES = (1, 1_000)
DEFAULTS = {
    "MessageRetentionPeriod": "345600",
    "ReceiveMessageWaitTimeSeconds": "0",
    "VisibilityTimeout": "30",
    "RedrivePolicy": "",
    "SqsManagedSseEnabled": "true",
}


def _create_queue(account: Account, wanted: Wanted) -> Resource:
    """Raises `ValueError` in the service's words for a name that is taken and for a value beyond its limits."""
    name = wanted.properties.get("QueueName") or wanted.name(80)
    sqs = account.client("sqs")
    with contextlib.suppress(sqs.exceptions.QueueDoesNotExist):
        sqs.get_queue_url(QueueName=name)
        raise ValueError(f"Resource of type 'AWS::SQS::Queue' with identifier '{name}' already exists.")
    sqs.create_queue(QueueName=name, Attributes=_attributes(wanted.properties), tags=_all_tags(wanted))
    url = f"https://sqs.{account.region}.amazonaws.com/{account.id}/{name}"
    return Resource(url, {"Arn": f"arn:aws:sqs:{account.region}:{account.id}:{name}", "QueueName": name})


def _update_queue(account: Account, resource: Resource, wanted: Wanted) -> None:
    """Sets what the properties say, and SQS's default for what they do not say any more."""
    sqs, url = account.client("sqs"), resource.physical_resource_id
    sqs.set_queue_attributes(QueueUrl=url, Attributes=_attributes(wanted.properties))
    gone = sqs.list_queue_tags(QueueUrl=url).get("Tags", {}).keys() - _all_tags(wanted).keys()
    if gone:
        sqs.untag_queue(QueueUrl=url, TagKeys=sorted(gone))
    sqs.tag_queue(QueueUrl=url, Tags=_all_tags(wanted))


def _delete_queue(account: Account, resource: Resource) -> None:
    """Deletes the queue with its messages, unless somebody has deleted it."""
    sqs = account.client("sqs")
    with contextlib.suppress(sqs.exceptions.QueueDoesNotExist):
        sqs.delete_queue(QueueUrl=resource.physical_resource_id)


def _attributes(properties: dict[str, Any]) -> dict[str, str]:
    for name, (least, most) in LIMITS.items():
        if name in properties and not least <= int(properties[name]) <= most:
            raise ValueError(f"Invalid value for the parameter {name}.")
    redrive = properties.get("RedrivePolicy")
    if redrive and not RECEIVES[0] <= int(redrive["maxReceiveCount"]) <= RECEIVES[1]:
        raise ValueError(
            f"Value {json.dumps(redrive)} for parameter RedrivePolicy is invalid. Reason: Invalid value for "
            "maxReceiveCount."
        )
    return {name: _text(properties.get(name, default)) for name, default in DEFAULTS.items()}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _all_tags(wanted: Wanted) -> dict[str, str]:
    return {
        **wanted.tags,
        "aws:cloudformation:stack-name": wanted.stack_name,
        "aws:cloudformation:stack-id": wanted.stack_id,
        "aws:cloudformation:logical-id": wanted.logical_id,
    }


def _create_policy(account: Account, wanted: Wanted) -> Resource:
    resource = Resource(wanted.name())
    _update_policy(account, resource, wanted)
    return resource


def _update_policy(account: Account, resource: Resource, wanted: Wanted) -> None:
    """Gives the policy to the queues that are named, and takes it off those that were."""
    policy = json.dumps(wanted.properties["PolicyDocument"])
    _take_off(account, set(resource.properties.get("Queues", [])) - set(wanted.properties["Queues"]))
    for url in wanted.properties["Queues"]:
        account.client("sqs").set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})


def _delete_policy(account: Account, resource: Resource) -> None:
    _take_off(account, set(resource.properties["Queues"]))


def _take_off(account: Account, urls: set[str]) -> None:
    """Takes the policy off the queues that still exist."""
    sqs = account.client("sqs")
    for url in urls:
        with contextlib.suppress(sqs.exceptions.QueueDoesNotExist):
            sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": ""})


TYPES = {
    "AWS::SQS::Queue": ResourceType(
        _create_queue,
        _delete_queue,
        _update_queue,
        frozenset({"QueueName"}),
        frozenset({"QueueName", *DEFAULTS}),
    ),
    "AWS::SQS::QueuePolicy": ResourceType(
        _create_policy, _delete_policy, _update_policy, frozenset(), frozenset({"PolicyDocument", "Queues"})
    ),
}
