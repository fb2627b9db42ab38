"""AWS::EC2::VPC."""

from __future__ import annotations

from scripts.local.aws.account import Account
from scripts.local.cloudformation.resources.resource import Resource, ResourceType, Wanted, tag_ec2

DNS = ("EnableDnsSupport", "EnableDnsHostnames")


class Vpc(ResourceType):
    """A network. moto's own class passes over the DNS settings."""

    type = "AWS::EC2::VPC"
    replaced_by = frozenset({"CidrBlock", "InstanceTenancy"})

    def create(self, account: Account, wanted: Wanted) -> Resource:
        """Makes the network."""
        ec2 = account.client("ec2")
        vpc_id = ec2.create_vpc(CidrBlock=wanted.properties["CidrBlock"])["Vpc"]["VpcId"]
        groups = ec2.describe_security_groups(Filters=[{"Name": "vpc-id", "Values": [vpc_id]}])["SecurityGroups"]
        attributes = {
            "VpcId": vpc_id,
            "CidrBlock": wanted.properties["CidrBlock"],
            "DefaultSecurityGroup": groups[0]["GroupId"],
        }
        resource = Resource(vpc_id, attributes)
        self.update(account, resource, wanted)
        return resource

    def update(self, account: Account, resource: Resource, wanted: Wanted) -> None:
        """Sets the DNS settings and the tags."""
        for name in DNS:
            if name in wanted.properties:
                value = {"Value": str(wanted.properties[name]).lower() == "true"}
                account.client("ec2").modify_vpc_attribute(VpcId=resource.physical_resource_id, **{name: value})
        tag_ec2(account, resource.physical_resource_id, wanted, resource)

    def delete(self, account: Account, resource: Resource) -> None:
        """Deletes the network."""
        account.client("ec2").delete_vpc(VpcId=resource.physical_resource_id)
