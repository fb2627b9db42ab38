"""The topic that mails when a batch is done or stuck."""

from __future__ import annotations

from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from constructs import Construct


class Notice(Construct):
    """SNS encrypts what it keeps with the account's own key for SNS, which is free, and takes TLS alone.

    SNS asks the address first whether it wants the mails, and sends none before it has said yes.
    """

    def __init__(self, scope: Construct, construct_id: str, *, name: str, email: str, role: iam.Role) -> None:
        super().__init__(scope, construct_id)
        self.topic = sns.Topic(
            self,
            "Topic",
            topic_name=name,
            display_name="sd-on-ec2",
            enforce_ssl=True,
            master_key=kms.Alias.from_alias_name(self, "Key", "alias/aws/sns"),
        )
        self.topic.add_subscription(subscriptions.EmailSubscription(email))
        self.policy = iam.Policy(
            self,
            "Policy",
            roles=[role],
            statements=[
                iam.PolicyStatement(
                    sid="TellThatABatchHasEnded", actions=["sns:Publish"], resources=[self.topic.topic_arn]
                )
            ],
        )
