"""The network: public subnets, a free gateway endpoint to S3, and nothing that costs money while idle."""

from __future__ import annotations

import re
import string
import zlib
from collections.abc import Sequence

from aws_cdk import aws_ec2 as ec2
from constructs import Construct

from stacks.acknowledge import CLOUDFORMATION, NIST, acknowledge


class Network(Construct):
    """A VPC without a NAT gateway: the instance has an address of its own and no port open.

    The subnets of the region's first zones are numbered; the first of them is always there. A named zone's subnet has
    an id and a range that follow from the zone's name alone, so that a stack that stands can get another zone at any
    time: no subnet takes the range of one that is there still.

    Rejected: private subnets, whose NAT gateway costs $0.045 an hour, used or not. Rejected: subnets that share out the
    whole range of the VPC, because another number of zones then changes the range of each.
    """

    def __init__(self, scope: Construct, construct_id: str, *, az: str | None, named_zones: Sequence[str]) -> None:
        super().__init__(scope, construct_id)
        self.vpc = ec2.Vpc(
            self,
            "Vpc",
            max_azs=3,
            nat_gateways=0,
            subnet_configuration=[
                ec2.SubnetConfiguration(
                    name="Public", subnet_type=ec2.SubnetType.PUBLIC, map_public_ip_on_launch=True, cidr_mask=18
                )
            ],
            # Restricting the default group takes a Lambda function, and nothing here uses that group.
            restrict_default_security_group=False,
        )
        named = {zone: self._build_subnet(zone) for zone in dict.fromkeys([*([az] if az else []), *named_zones])}
        self.endpoint = self.vpc.add_gateway_endpoint(
            "S3",
            service=ec2.GatewayVpcEndpointAwsService.S3,
            subnets=[ec2.SubnetSelection(subnets=[*self.vpc.public_subnets, *named.values()])],
        )
        unread = "Flow logs cost money by the gigabyte, and no port is open: nobody would read them."
        acknowledge(self.vpc, {"VPC7": unread})
        acknowledge(
            self,
            {
                "VPCFlowLogsEnabled": unread,
                "VPCDefaultSecurityGroupClosed": "Nothing is in that group, and closing it takes a Lambda function.",
                "VPCSubnetAutoAssignPublicIpDisabled": "A machine goes out by its own address, without a NAT gateway.",
                "VPCNoUnrestrictedRouteToIGW": "A machine fetches from the hub; nothing comes in without SshCidr.",
            },
            NIST,
        )
        reason = "A person names the zone, because it has the type or its capacity."
        acknowledge(self, {"W3010": reason}, CLOUDFORMATION)
        # The fleet's.
        self.subnets: list[ec2.ISubnet] = [*self.vpc.public_subnets, *named.values()]
        # The instance's.
        self.subnet: ec2.ISubnet = named[az] if az else self.vpc.public_subnets[0]

    def _build_subnet(self, zone: str) -> ec2.PublicSubnet:
        subnet = ec2.PublicSubnet(
            self,
            "Public" + "".join(part.capitalize() for part in zone.split("-")),
            availability_zone=zone,
            cidr_block=f"10.0.{192 + _number(zone)}.0/24",
            map_public_ip_on_launch=True,
            vpc_id=self.vpc.vpc_id,
        )
        assert self.vpc.internet_gateway_id
        subnet.add_default_internet_route(self.vpc.internet_gateway_id, self.vpc.internet_connectivity_established)
        return subnet


def _number(zone: str) -> int:
    """The number of a named zone among 64: its letter's, or, for a local zone, one of the others."""
    if re.fullmatch(r"[a-z]+(-[a-z]+)+-\d[a-z]", zone):
        return string.ascii_lowercase.index(zone[-1])
    return 26 + zlib.crc32(zone.encode()) % 38
