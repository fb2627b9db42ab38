"""What a machine of the fleet may do to its group, and to no other: leave it, and stop it from buying machines."""

from __future__ import annotations

import json

from aws_cdk import ArnFormat, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3 as s3
from constructs import Construct

from stacks.acknowledge import acknowledge
from stacks.worker_role import as_in_findings
from userdata.contract.layout import FLEET


def group_arn(scope: Construct, name: str) -> str:
    """The ARN of the group `name`, whose id only EC2 Auto Scaling knows."""
    return Stack.of(scope).format_arn(
        service="autoscaling",
        resource="autoScalingGroup",
        resource_name=f"*:autoScalingGroupName/{name}",
        arn_format=ArnFormat.COLON_RESOURCE_NAME,
    )


def its_id_is_unknown(scope: Construct, name: str) -> dict[str, str]:
    """The finding on `group_arn`, as cdk-nag prints it, with the reason why it stands."""
    _, parts = Stack.of(scope).resolve(name)["Fn::Join"]
    printed = "".join(part if isinstance(part, str) else json.dumps(part, separators=(",", ":")) for part in parts)
    arn = "arn:<AWS::Partition>:autoscaling:<AWS::Region>:<AWS::AccountId>:autoScalingGroup:*:autoScalingGroupName"
    return {f"IAM5[Resource::{arn}/{printed}]": "The group is named; the id in its ARN is made with it."}


class FleetRights(Construct):
    """A policy of the worker's role, which the instance has too, though it uses none of this.

    A machine may set the group's maximum to 0 and to nothing else. So a machine that somebody has taken over cannot buy
    one, nor have others bought of a dearer type. With `fallback` it may change the distribution of markets, and thereby
    the wanted size up to the deployed maximum, since IAM has no condition for that; types and subnets it may not.
    Source: https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonec2autoscaling.html
    """

    def __init__(
        self, scope: Construct, construct_id: str, *, role: iam.Role, results: s3.IBucket, group: str, fallback: bool
    ) -> None:
        super().__init__(scope, construct_id)
        arn, told = group_arn(self, group), results.arn_for_objects(f"{FLEET}*")
        self.policy = iam.Policy(
            self,
            "Policy",
            roles=[role],
            statements=[
                iam.PolicyStatement(
                    sid="LeaveTheGroup",
                    actions=["autoscaling:TerminateInstanceInAutoScalingGroup", "autoscaling:SetInstanceHealth"],
                    resources=[arn],
                ),
                iam.PolicyStatement(
                    sid="CloseTheFleet",
                    actions=["autoscaling:UpdateAutoScalingGroup"],
                    resources=[arn],
                    conditions={
                        "NumericEquals": {"autoscaling:MaxSize": "0"},
                        "Null": {"autoscaling:InstanceTypes": "true"},
                    },
                ),
                iam.PolicyStatement(sid="TellOfTheFleet", actions=["s3:PutObject"], resources=[told]),
                *([_change_the_market(arn)] if fallback else []),
            ],
        )
        acknowledge(
            self.policy,
            {
                f"IAM5[Resource::{as_in_findings(results)}/{FLEET}*]": "A machine names the objects that it writes.",
                **its_id_is_unknown(self, group),
            },
        )


def _change_the_market(arn: str) -> iam.PolicyStatement:
    untouched = ("MaxSize", "MinSize", "InstanceTypes", "LaunchTemplateVersionSpecified", "VPCZoneIdentifiers")
    return iam.PolicyStatement(
        sid="ChangeTheMarket",
        actions=["autoscaling:UpdateAutoScalingGroup"],
        resources=[arn],
        conditions={"Null": {f"autoscaling:{key}": "true" for key in untouched}},
    )
