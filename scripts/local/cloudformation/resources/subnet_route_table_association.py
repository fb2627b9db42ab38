"""AWS::EC2::SubnetRouteTableAssociation."""

from __future__ import annotations

from scripts.local.aws.account import Account
from scripts.local.cloudformation.resources.resource import Resource, ResourceType, Wanted


class SubnetRouteTableAssociation(ResourceType):
    """Which table a subnet's routes come from. moto's own class passes over the deletion."""

    type = "AWS::EC2::SubnetRouteTableAssociation"

    def create(self, account: Account, wanted: Wanted) -> Resource:
        """Associates the two."""
        association_id = account.client("ec2").associate_route_table(**wanted.properties)["AssociationId"]
        return Resource(association_id, {"Id": association_id})

    def delete(self, account: Account, resource: Resource) -> None:
        """Takes them apart."""
        account.client("ec2").disassociate_route_table(AssociationId=resource.physical_resource_id)
