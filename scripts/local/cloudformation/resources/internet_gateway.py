"""AWS::EC2::InternetGateway."""

from __future__ import annotations

from scripts.local.aws.account import Account
from scripts.local.cloudformation.resources.resource import Resource, ResourceType, Wanted, tag_ec2


class InternetGateway(ResourceType):
    """A gateway to the internet. moto's own class passes over tags and the deletion."""

    type = "AWS::EC2::InternetGateway"
    replaced_by = frozenset()

    def create(self, account: Account, wanted: Wanted) -> Resource:
        """Makes the gateway."""
        gateway_id = account.client("ec2").create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
        tag_ec2(account, gateway_id, wanted)
        return Resource(gateway_id, {"InternetGatewayId": gateway_id})

    def update(self, account: Account, resource: Resource, wanted: Wanted) -> None:
        """Sets the tags."""
        tag_ec2(account, resource.physical_resource_id, wanted, resource)

    def delete(self, account: Account, resource: Resource) -> None:
        """Deletes the gateway."""
        account.client("ec2").delete_internet_gateway(InternetGatewayId=resource.physical_resource_id)
