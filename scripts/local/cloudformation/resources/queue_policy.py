"""AWS::SQS::QueuePolicy, which moto's CloudFormation does not know."""

from __future__ import annotations

import contextlib
import json

from scripts.local.aws.account import Account
from scripts.local.cloudformation.resources.resource import Resource, ResourceType, Wanted


def _create(account: Account, wanted: Wanted) -> Resource:
    resource = Resource(wanted.name())
    _update(account, resource, wanted)
    return resource


def _update(account: Account, resource: Resource, wanted: Wanted) -> None:
    policy = json.dumps(wanted.properties["PolicyDocument"])
    for url in wanted.properties["Queues"]:
        account.client("sqs").set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})


def _delete(account: Account, resource: Resource) -> None:
    """Takes the policy off the queues that still exist."""
    sqs = account.client("sqs")
    for url in resource.properties["Queues"]:
        with contextlib.suppress(sqs.exceptions.QueueDoesNotExist):
            sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": ""})


TYPES = {"AWS::SQS::QueuePolicy": ResourceType(_create, _delete, _update, frozenset({"Queues"}))}
