"""Findings of the rules that run at every synthesis and that stand on purpose; any other error fails the synthesis."""

from __future__ import annotations

from aws_cdk import Acknowledgment, Validations
from constructs import IConstruct

SOLUTIONS = "AwsSolutions::AwsSolutions-"
NIST = "NIST.800.53.R5::NIST.800.53.R5-"
# CloudFormation's own, which the CDK asks.
CLOUDFORMATION = "CloudFormation-Validate::"


def acknowledge(construct: IConstruct, reasons: dict[str, str], rules: str = SOLUTIONS) -> None:
    """Acknowledges findings on one construct, and all below it, by rule: `{"VPC7": "why it stands"}`.

    A rule that has a finding for each detail is named with it, such as `IAM4[Policy::arn...]`. `rules` is the set that
    the rules are of.
    """
    for rule, reason in reasons.items():
        Validations.of(construct).acknowledge(Acknowledgment(id=f"{rules}{rule}", reason=reason))
