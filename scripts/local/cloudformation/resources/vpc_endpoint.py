"""AWS::EC2::VPCEndpoint."""

from __future__ import annotations

import json
from typing import Any

from scripts.local.aws.account import Account
from scripts.local.cloudformation.resources.api_parameters import api_parameters
from scripts.local.cloudformation.resources.resource import Resource, ResourceType, Wanted, tag_ec2


class VpcEndpoint(ResourceType):
    """A way from a network to a service. moto's own class passes over tags, updates and the deletion."""

    type = "AWS::EC2::VPCEndpoint"
    replaced_by = frozenset({"ServiceName", "VpcId", "VpcEndpointType"})

    def create(self, account: Account, wanted: Wanted) -> Resource:
        """Makes the endpoint."""
        ec2 = account.client("ec2")
        asked: dict[str, Any] = {name: value for name, value in wanted.properties.items() if name != "Tags"}
        if "PolicyDocument" in asked:
            asked["PolicyDocument"] = json.dumps(asked["PolicyDocument"])
        made = ec2.create_vpc_endpoint(**api_parameters(ec2, "CreateVpcEndpoint", asked))["VpcEndpoint"]
        tag_ec2(account, made["VpcEndpointId"], wanted)
        return Resource(made["VpcEndpointId"], {"Id": made["VpcEndpointId"]})

    def update(self, account: Account, resource: Resource, wanted: Wanted) -> None:
        """Changes the policy and the route tables."""
        before, after = resource.properties.get("RouteTableIds", []), wanted.properties.get("RouteTableIds", [])
        changes: dict[str, Any] = {
            "AddRouteTableIds": [table for table in after if table not in before],
            "RemoveRouteTableIds": [table for table in before if table not in after],
        }
        if "PolicyDocument" in wanted.properties:
            changes["PolicyDocument"] = json.dumps(wanted.properties["PolicyDocument"])
        changes = {name: value for name, value in changes.items() if value}
        if changes:
            account.client("ec2").modify_vpc_endpoint(VpcEndpointId=resource.physical_resource_id, **changes)
        tag_ec2(account, resource.physical_resource_id, wanted, resource)

    def delete(self, account: Account, resource: Resource) -> None:
        """Deletes the endpoint."""
        account.client("ec2").delete_vpc_endpoints(VpcEndpointIds=[resource.physical_resource_id])
