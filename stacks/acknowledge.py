"""Findings of cdk-nag's AwsSolutions rules that stand on purpose; any other finding fails the synthesis."""

from __future__ import annotations

from aws_cdk import Acknowledgment, Validations
from constructs import IConstruct


def acknowledge(construct: IConstruct, reasons: dict[str, str]) -> None:
    """Acknowledges findings on one construct, by rule: `{"VPC7": "why it stands"}`.

    A rule that has a finding for each detail is named with it, such as `IAM4[Policy::arn...]`.
    """
    for rule, reason in reasons.items():
        Validations.of(construct).acknowledge(Acknowledgment(id=f"AwsSolutions::AwsSolutions-{rule}", reason=reason))
