"""The role of a schedule that a command makes, with which a batch begins while no computer of a person's is on."""

from __future__ import annotations

from aws_cdk import ArnFormat, Aws, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from stacks.acknowledge import acknowledge
from stacks.fleet_rights import group_arn, its_id_is_unknown


class Release(Construct):
    """EventBridge Scheduler's role for this account's schedules. It is always there, because a role costs nothing.

    It may send to the queue of batches, start the instance, and, where there is a fleet `group`, size it up to `most`.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        queue: sqs.IQueue,
        instance_id: str,
        group: str | None,
        most: int | None,
    ) -> None:
        super().__init__(scope, construct_id)
        self.role = iam.Role(
            self,
            "Role",
            description="sd-on-ec2: releases a batch at a time that was set",
            assumed_by=iam.ServicePrincipal(
                "scheduler.amazonaws.com", conditions={"StringEquals": {"aws:SourceAccount": Aws.ACCOUNT_ID}}
            ),
        )
        instance = Stack.of(self).format_arn(
            service="ec2", resource="instance", resource_name=instance_id, arn_format=ArnFormat.SLASH_RESOURCE_NAME
        )
        policy = iam.Policy(
            self,
            "Policy",
            roles=[self.role],
            statements=[
                iam.PolicyStatement(sid="Release", actions=["sqs:SendMessage"], resources=[queue.queue_arn]),
                iam.PolicyStatement(sid="StartTheInstance", actions=["ec2:StartInstances"], resources=[instance]),
            ],
        )
        if group is not None:
            policy.add_statements(
                iam.PolicyStatement(
                    sid="SizeTheFleet",
                    actions=["autoscaling:UpdateAutoScalingGroup"],
                    resources=[group_arn(self, group)],
                    conditions={
                        "NumericLessThanEqualsIfExists": {
                            f"autoscaling:{bound}Size": str(most) for bound in ("Min", "Max")
                        }
                    },
                )
            )
            acknowledge(policy, its_id_is_unknown(self, group))
