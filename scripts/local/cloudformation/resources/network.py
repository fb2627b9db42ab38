"""The network's types, but for the security group. moto's own classes pass over most tags, updates and deletions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from moto.ec2.models import ec2_backends

from scripts.local.aws.account import Account
from scripts.local.cloudformation.resources.api_call import call
from scripts.local.cloudformation.resources.resource import Resource, ResourceType, Wanted, tag_ec2

Settings = Callable[[Any, str, dict[str, Any]], None]


def _no_settings(ec2: Any, physical_id: str, properties: dict[str, Any]) -> None:
    """Most types have none."""


def _noun(noun: str, *given: str, others: Sequence[str] = (), settings: Settings = _no_settings) -> ResourceType:
    """A type whose operations follow its noun: CreateSubnet answers with a Subnet, which has a SubnetId.

    `given` are the properties that its creation takes, and none of which can be changed. `settings` sets the `others`,
    with a client of EC2, at the creation and at every update.
    """

    def create(account: Account, wanted: Wanted) -> Resource:
        asked = {name: wanted.properties[name] for name in given if name in wanted.properties}
        made = call(account.client("ec2"), f"Create{noun}", **asked)[noun]
        resource = Resource(made[f"{noun}Id"], made)
        update(account, resource, wanted)
        return resource

    def update(account: Account, resource: Resource, wanted: Wanted) -> None:
        settings(account.client("ec2"), resource.physical_resource_id, wanted.properties)
        tag_ec2(account, resource.physical_resource_id, wanted, resource.properties)

    def delete(account: Account, resource: Resource) -> None:
        call(account.client("ec2"), f"Delete{noun}", **{f"{noun}Id": resource.physical_resource_id})

    return ResourceType(create, delete, update, frozenset(given), frozenset({*given, *others}))


DNS = ("EnableDnsSupport", "EnableDnsHostnames")


def _set_dns(ec2: Any, vpc_id: str, properties: dict[str, Any]) -> None:
    for name in DNS:
        if name in properties:
            call(ec2, "ModifyVpcAttribute", VpcId=vpc_id, **{name: {"Value": properties[name]}})


def _set_public_addresses(ec2: Any, subnet_id: str, properties: dict[str, Any]) -> None:
    public = {"Value": properties.get("MapPublicIpOnLaunch", False)}
    call(ec2, "ModifySubnetAttribute", SubnetId=subnet_id, MapPublicIpOnLaunch=public)


def _link(do: str, undo: str, *ends: str, answer: str | None = None) -> ResourceType:
    """A type that links two things: operation `do` takes all properties.

    `undo` takes the properties `ends`, or what `do` answered as `answer`. Every change makes a new link.
    """

    def create(account: Account, wanted: Wanted) -> Resource:
        answered = call(account.client("ec2"), do, **wanted.properties)
        return Resource(answered[answer] if answer else "|".join(wanted.properties[end] for end in ends))

    def delete(account: Account, resource: Resource) -> None:
        told = {end: resource.properties[end] for end in ends}
        call(account.client("ec2"), undo, **({answer: resource.physical_resource_id} if answer else told))

    return ResourceType(create, delete)


def _create_endpoint(account: Account, wanted: Wanted) -> Resource:
    asked = {name: value for name, value in wanted.properties.items() if name != "Tags"}
    endpoint_id = call(account.client("ec2"), "CreateVpcEndpoint", **asked)["VpcEndpoint"]["VpcEndpointId"]
    tag_ec2(account, endpoint_id, wanted, {})
    return Resource(endpoint_id)


def _update_endpoint(account: Account, resource: Resource, wanted: Wanted) -> None:
    before, after = resource.properties.get("RouteTableIds", []), wanted.properties.get("RouteTableIds", [])
    changes = {
        "AddRouteTableIds": [table for table in after if table not in before],
        "RemoveRouteTableIds": [table for table in before if table not in after],
    }
    if any(changes.values()):
        named = {name: tables for name, tables in changes.items() if tables}
        call(account.client("ec2"), "ModifyVpcEndpoint", VpcEndpointId=resource.physical_resource_id, **named)
        # Past the API: moto leaves the tables' routes to the endpoint as they are, and misses them at its deletion.
        backend = ec2_backends[account.id][account.region]
        prefixes = backend.vpc_end_points[resource.physical_resource_id].destination_prefix_list_id
        for table in changes["AddRouteTableIds"]:
            backend.create_route(
                table, None, gateway_id=resource.physical_resource_id, destination_prefix_list_id=prefixes
            )
        for table in changes["RemoveRouteTableIds"]:
            backend.delete_route(table, None, destination_prefix_list_id=prefixes)
    tag_ec2(account, resource.physical_resource_id, wanted, resource.properties)


def _delete_endpoint(account: Account, resource: Resource) -> None:
    call(account.client("ec2"), "DeleteVpcEndpoints", VpcEndpointIds=[resource.physical_resource_id])


TYPES = {
    "AWS::EC2::InternetGateway": _noun("InternetGateway"),
    "AWS::EC2::Route": _link("CreateRoute", "DeleteRoute", "RouteTableId", "DestinationCidrBlock"),
    "AWS::EC2::RouteTable": _noun("RouteTable", "VpcId"),
    "AWS::EC2::Subnet": _noun(
        "Subnet",
        "AvailabilityZone",
        "CidrBlock",
        "VpcId",
        others=["MapPublicIpOnLaunch"],
        settings=_set_public_addresses,
    ),
    "AWS::EC2::SubnetRouteTableAssociation": _link(
        "AssociateRouteTable", "DisassociateRouteTable", answer="AssociationId"
    ),
    "AWS::EC2::VPC": _noun("Vpc", "CidrBlock", "InstanceTenancy", others=DNS, settings=_set_dns),
    "AWS::EC2::VPCEndpoint": ResourceType(
        _create_endpoint, _delete_endpoint, _update_endpoint, frozenset({"ServiceName", "VpcId", "VpcEndpointType"})
    ),
    "AWS::EC2::VPCGatewayAttachment": _link(
        "AttachInternetGateway", "DetachInternetGateway", "VpcId", "InternetGatewayId"
    ),
}
