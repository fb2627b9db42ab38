"""AWS::EC2::Route."""

from __future__ import annotations

from scripts.local.aws.account import Account
from scripts.local.cloudformation.resources.resource import Resource, ResourceType, Wanted

DESTINATIONS = ("DestinationCidrBlock", "DestinationIpv6CidrBlock", "DestinationPrefixListId")


class Route(ResourceType):
    """A route. moto's own class passes over the deletion."""

    type = "AWS::EC2::Route"

    def create(self, account: Account, wanted: Wanted) -> Resource:
        """Makes the route."""
        account.client("ec2").create_route(**wanted.properties)
        destination = next(wanted.properties[name] for name in DESTINATIONS if name in wanted.properties)
        return Resource(f"{wanted.properties['RouteTableId']}|{destination}")

    def delete(self, account: Account, resource: Resource) -> None:
        """Deletes the route."""
        which = {name: resource.properties[name] for name in DESTINATIONS if name in resource.properties}
        account.client("ec2").delete_route(RouteTableId=resource.properties["RouteTableId"], **which)
