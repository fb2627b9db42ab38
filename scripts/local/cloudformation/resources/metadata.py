"""AWS::CDK::Metadata: says which constructs were used, and is nothing."""

from __future__ import annotations

from scripts.local.aws.account import Account
from scripts.local.cloudformation.resources.resource import Resource, ResourceType, Wanted


class Metadata(ResourceType):
    """A resource in name only."""

    type = "AWS::CDK::Metadata"
    replaced_by = frozenset()

    def create(self, account: Account, wanted: Wanted) -> Resource:
        """Makes nothing."""
        return Resource(wanted.name())

    def delete(self, account: Account, resource: Resource) -> None:
        """Deletes nothing."""
