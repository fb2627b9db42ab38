"""AWS::SNS::Topic, AWS::SNS::Subscription and AWS::SNS::TopicPolicy. moto's CloudFormation knows the first alone."""

from __future__ import annotations

import json

from moto.sns.models import sns_backends

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
    """Gives the policy to the topics, and those that are named no more SNS's own again."""
    _take_off(account, set(resource.properties.get("Topics", [])) - set(wanted.properties["Topics"]))
    policy = json.dumps(wanted.properties["PolicyDocument"])
    for topic in wanted.properties["Topics"]:
        account.client("sns").set_topic_attributes(TopicArn=topic, AttributeName="Policy", AttributeValue=policy)


def _delete_policy(account: Account, resource: Resource) -> None:
    _take_off(account, set(resource.properties["Topics"]))


def _take_off(account: Account, arns: set[str]) -> None:
    # Past the API, which would have to be told SNS's own policy.
    topics = sns_backends[account.id][account.region].topics
    for arn in arns & topics.keys():
        topic = topics[arn]
        topic._policy_json = topic._create_default_topic_policy(account.region, account.id, topic.name)


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
