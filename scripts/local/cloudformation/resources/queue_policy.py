"""AWS::SQS::QueuePolicy."""

from __future__ import annotations

import contextlib
import json

from scripts.local.aws.account import Account
from scripts.local.cloudformation.resources.resource import Resource, ResourceType, Wanted


class QueuePolicy(ResourceType):
    """The policy of queues; moto's CloudFormation does not know the type."""

    type = "AWS::SQS::QueuePolicy"
    replaced_by = frozenset({"Queues"})

    def create(self, account: Account, wanted: Wanted) -> Resource:
        """Puts the policy on the queues."""
        resource = Resource(wanted.name())
        self.update(account, resource, wanted)
        return resource

    def update(self, account: Account, resource: Resource, wanted: Wanted) -> None:
        """Puts the new policy in the old one's place."""
        policy = json.dumps(wanted.properties["PolicyDocument"])
        for url in wanted.properties["Queues"]:
            account.client("sqs").set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})

    def delete(self, account: Account, resource: Resource) -> None:
        """Takes the policy off the queues that are still there."""
        sqs = account.client("sqs")
        for url in resource.properties["Queues"]:
            with contextlib.suppress(sqs.exceptions.QueueDoesNotExist):
                sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": ""})
