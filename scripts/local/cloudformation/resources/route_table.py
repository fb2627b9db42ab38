"""AWS::EC2::RouteTable."""

from __future__ import annotations

from scripts.local.aws.account import Account
from scripts.local.cloudformation.resources.resource import Resource, ResourceType, Wanted, tag_ec2


class RouteTable(ResourceType):
    """A route table. moto's own class passes over tags and the deletion."""

    type = "AWS::EC2::RouteTable"

    def create(self, account: Account, wanted: Wanted) -> Resource:
        """Makes the table."""
        table = account.client("ec2").create_route_table(VpcId=wanted.properties["VpcId"])["RouteTable"]
        tag_ec2(account, table["RouteTableId"], wanted)
        return Resource(table["RouteTableId"], {"RouteTableId": table["RouteTableId"]})

    def update(self, account: Account, resource: Resource, wanted: Wanted) -> None:
        """Sets the tags."""
        tag_ec2(account, resource.physical_resource_id, wanted, resource)

    def delete(self, account: Account, resource: Resource) -> None:
        """Deletes the table."""
        account.client("ec2").delete_route_table(RouteTableId=resource.physical_resource_id)
