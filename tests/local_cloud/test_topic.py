"""A topic of a stack, with who hears of it and who may tell it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from scripts.local.local_cloud import LocalCloud
from tests.local_cloud.conftest import Stack
from tests.local_cloud.test_stack import TLS_ONLY

pytestmark = pytest.mark.local_cloud


def topic_template(name: str, **topic: Any) -> dict[str, Any]:
    subscription = {"TopicArn": {"Ref": "Topic"}, "Protocol": "email", "Endpoint": "me@example.com"}
    policy = {"Topics": [{"Ref": "Topic"}], "PolicyDocument": TLS_ONLY}
    return {
        "Resources": {
            "Topic": {"Type": "AWS::SNS::Topic", "Properties": {"TopicName": name, **topic}},
            "Reader": {"Type": "AWS::SNS::Subscription", "Properties": subscription},
            "Policy": {"Type": "AWS::SNS::TopicPolicy", "Properties": policy},
        }
    }


def test_a_topic_keeps_its_readers_and_its_policy_until_they_go(stack: Stack, cloud: LocalCloud) -> None:
    sns = cloud.client("sns")
    template = topic_template(stack.name, DisplayName="sd", KmsMasterKeyId="alias/aws/sns")
    stack.create(template)
    topic = stack.physical_id("Topic")
    assert topic.endswith(f":{stack.name}")
    (reader,) = sns.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]
    assert (reader["Protocol"], reader["Endpoint"]) == ("email", "me@example.com")
    del template["Resources"]["Topic"]["Properties"]["DisplayName"]
    stack.update(template)
    found = sns.get_topic_attributes(TopicArn=topic)["Attributes"]
    assert (found["DisplayName"], found["KmsMasterKeyId"]) == ("", "alias/aws/sns")
    assert json.loads(found["Policy"]) == TLS_ONLY
    del template["Resources"]["Policy"]
    stack.update(template)
    assert json.loads(sns.get_topic_attributes(TopicArn=topic)["Attributes"]["Policy"]) != TLS_ONLY
    stack.delete()
    assert topic not in {one["TopicArn"] for one in sns.list_topics()["Topics"]}


def test_a_reader_that_is_not_emulated_is_refused(stack: Stack) -> None:
    template = topic_template(stack.name)
    template["Resources"]["Reader"]["Properties"]["Protocol"] = "sms"
    assert "does not emulate subscriptions by sms" in stack.fail_to_create(template)
