"""Tags everything that is deployed."""

from __future__ import annotations

from aws_cdk import Aws, Stack, Tags

from stacks.facts.tag_names import PROJECT, PROJECT_TAG, STACK_TAG


def tag_everything(stack: Stack) -> None:
    """Tags every resource of `stack` that can carry tags."""
    for name, value in tags().items():
        Tags.of(stack).add(name, value)


def tags() -> dict[str, str]:
    """The tags by name; the stack's name is known to CloudFormation only."""
    return {PROJECT_TAG: PROJECT, STACK_TAG: Aws.STACK_NAME}
