"""AWS::EC2::Subnet."""

from __future__ import annotations

from scripts.local.aws.account import Account
from scripts.local.cloudformation.resources.resource import Resource, ResourceType, Wanted, tag_ec2


class Subnet(ResourceType):
    """A subnet. moto's own class passes over MapPublicIpOnLaunch."""

    type = "AWS::EC2::Subnet"
    replaced_by = frozenset({"AvailabilityZone", "CidrBlock", "VpcId"})

    def create(self, account: Account, wanted: Wanted) -> Resource:
        """Makes the subnet."""
        asked = {name: wanted.properties[name] for name in self.replaced_by if name in wanted.properties}
        subnet = account.client("ec2").create_subnet(**asked)["Subnet"]
        attributes = {name: subnet[name] for name in ("SubnetId", "AvailabilityZone", "CidrBlock", "VpcId")}
        resource = Resource(subnet["SubnetId"], attributes)
        self.update(account, resource, wanted)
        return resource

    def update(self, account: Account, resource: Resource, wanted: Wanted) -> None:
        """Sets whether instances get public addresses, and the tags."""
        public = str(wanted.properties.get("MapPublicIpOnLaunch", False)).lower() == "true"
        account.client("ec2").modify_subnet_attribute(
            SubnetId=resource.physical_resource_id, MapPublicIpOnLaunch={"Value": public}
        )
        tag_ec2(account, resource.physical_resource_id, wanted, resource)

    def delete(self, account: Account, resource: Resource) -> None:
        """Deletes the subnet."""
        account.client("ec2").delete_subnet(SubnetId=resource.physical_resource_id)
