"""AWS::EC2::VPCGatewayAttachment."""

from __future__ import annotations

from scripts.local.aws.account import Account
from scripts.local.cloudformation.resources.resource import Resource, ResourceType, Wanted


class GatewayAttachment(ResourceType):
    """Joins an internet gateway to a network. moto's own class passes over the deletion."""

    type = "AWS::EC2::VPCGatewayAttachment"

    def create(self, account: Account, wanted: Wanted) -> Resource:
        """Attaches the gateway."""
        account.client("ec2").attach_internet_gateway(**_both(wanted.properties))
        return Resource(f"IGW|{wanted.properties['VpcId']}", {"AttachmentType": "IGW"})

    def delete(self, account: Account, resource: Resource) -> None:
        """Detaches the gateway."""
        account.client("ec2").detach_internet_gateway(**_both(resource.properties))


def _both(properties: dict[str, str]) -> dict[str, str]:
    return {name: properties[name] for name in ("VpcId", "InternetGatewayId")}
