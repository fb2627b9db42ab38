"""AWS::SNS::Topic, AWS::SNS::Subscription and AWS::SNS::TopicPolicy. moto's CloudFormation knows the first alone."""

from __future__ import annotations

import contextlib
import json

from scripts.local.aws.account import Account
from scripts.local.cloudformation.resources.resource import Resource, ResourceType, Wanted


def _create_topic(account: Account, wanted: Wanted) -> Resource:
    sns, tags = account.client("sns"), [{"Key": key, "Value": value} for key, value in wanted.tags.items()]
    name = wanted.properties.get("TopicName") or wanted.name(256)
    arn = sns.create_topic(Name=name, Tags=tags)["TopicArn"]
    resource = Resource(arn, {"TopicArn": arn, "TopicName": name})
    _update_topic(account, resource, wanted)
    return resource


def _update_topic(account: Account, resource: Resource, wanted: Wanted) -> None:
    for name in ("DisplayName", "KmsMasterKeyId"):
        value = wanted.properties.get(name, "")
        account.client("sns").set_topic_attributes(
            TopicArn=resource.physical_resource_id, AttributeName=name, AttributeValue=value
        )


def _delete_topic(account: Account, resource: Resource) -> None:
    account.client("sns").delete_topic(TopicArn=resource.physical_resource_id)


def _create_subscription(account: Account, wanted: Wanted) -> Resource:
    topic, protocol, endpoint = (wanted.properties[name] for name in ("TopicArn", "Protocol", "Endpoint"))
    if protocol != "email":
        raise ValueError(f"The local cloud does not emulate subscriptions by {protocol}")
    made = account.client("sns").subscribe(
        TopicArn=topic, Protocol=protocol, Endpoint=endpoint, ReturnSubscriptionArn=True
    )
    return Resource(made["SubscriptionArn"])


def _delete_subscription(account: Account, resource: Resource) -> None:
    account.client("sns").unsubscribe(SubscriptionArn=resource.physical_resource_id)


def _create_policy(account: Account, wanted: Wanted) -> Resource:
    resource = Resource(wanted.name())
    _update_policy(account, resource, wanted)
    return resource


def _update_policy(account: Account, resource: Resource, wanted: Wanted) -> None:
    """Gives the policy to the topics. CloudFormation gives those that are named no more SNS's own policy again."""
    _set_policy(account, set(resource.properties.get("Topics", [])), "")
    _set_policy(account, set(wanted.properties["Topics"]), json.dumps(wanted.properties["PolicyDocument"]))


def _delete_policy(account: Account, resource: Resource) -> None:
    _set_policy(account, set(resource.properties["Topics"]), "")


def _set_policy(account: Account, topics: set[str], policy: str) -> None:
    sns = account.client("sns")
    for topic in topics:
        with contextlib.suppress(sns.exceptions.NotFoundException):
            sns.set_topic_attributes(TopicArn=topic, AttributeName="Policy", AttributeValue=policy)


TYPES = {
    "AWS::SNS::Subscription": ResourceType(
        _create_subscription, _delete_subscription, properties=frozenset({"Endpoint", "Protocol", "TopicArn"})
    ),
    "AWS::SNS::Topic": ResourceType(
        _create_topic,
        _delete_topic,
        _update_topic,
        frozenset({"TopicName"}),
        frozenset({"DisplayName", "KmsMasterKeyId", "TopicName"}),
    ),
    "AWS::SNS::TopicPolicy": ResourceType(
        _create_policy, _delete_policy, _update_policy, frozenset(), frozenset({"PolicyDocument", "Topics"})
    ),
}
