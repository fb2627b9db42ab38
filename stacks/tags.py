"""The tags of everything that is deployed, by which the bill and `sd teardown` find it again."""

from __future__ import annotations

from aws_cdk import Aws, Stack, Tags

# For cost allocation: the budget counts what carries it. A person activates it once, in the Billing console.
PROJECT_TAG, PROJECT = "project", "sd-on-ec2"
# CloudFormation's own tag is missing on what EC2 makes at launch: volumes, network interfaces, spot requests.
STACK_TAG = "sd-on-ec2:stack"


def tag_everything(stack: Stack) -> None:
    """Tags every resource of `stack` that can carry tags."""
    for name, value in tags().items():
        Tags.of(stack).add(name, value)


def tags() -> dict[str, str]:
    """The tags by name; the stack's name is known to CloudFormation only."""
    return {PROJECT_TAG: PROJECT, STACK_TAG: Aws.STACK_NAME}
