"""A stack that stands can get another zone, and further ones, at any time."""

from __future__ import annotations

from ipaddress import IPv4Network
from itertools import combinations
from typing import Any

import aws_cdk
import pytest
from aws_cdk.assertions import Template

from stacks.facts.settings import settings_from_context
from stacks.sd_on_ec2_stack import SdOnEc2Stack
from tests.synth.conftest import only

pytestmark = pytest.mark.synth

# The first releases made this subnet; another id or another range would replace it, and the instance with it.
FIRST_SUBNET = ("NetworkVpcPublicSubnet1Subnet36933139", "10.0.0.0/18")


def template_of(**context: str) -> dict[str, Any]:
    stack = SdOnEc2Stack(aws_cdk.App(), "SdOnEc2", settings=settings_from_context(context))
    return dict(Template.from_stack(stack).to_json())


def subnets(template: dict[str, Any]) -> dict[str, str]:
    """The range of each subnet by its logical id."""
    of_type = {name: one for name, one in template["Resources"].items() if one["Type"] == "AWS::EC2::Subnet"}
    return {name: one["Properties"]["CidrBlock"] for name, one in of_type.items()}


def test_any_two_choices_of_zones_share_a_subnet_or_no_address() -> None:
    """CloudFormation makes the subnets of the next choice before it deletes those of the last, in the same VPC."""
    ranges: dict[str, str] = {}
    for choice in (
        {},
        {"zones": "2"},
        {"zones": "3"},
        {"az": "us-west-2b"},
        {"az": "us-west-2z", "zones": "us-west-2a,us-west-2b"},
        {"zones": "us-west-2-lax-1a,us-west-2-lax-1b"},
    ):
        found = subnets(template_of(**choice))
        assert FIRST_SUBNET in found.items()
        assert all(ranges.setdefault(name, block) == block for name, block in found.items())
    networks = [IPv4Network(block) for block in ranges.values()]
    assert len(networks) == 8
    assert not [(a, b) for a, b in combinations(networks, 2) if a.overlaps(b)]
    assert all(network.subnet_of(IPv4Network("10.0.0.0/16")) for network in networks)


@pytest.mark.parametrize("zones", ["1", "3", "us-east-1a,us-east-1c"])
def test_further_zones_leave_the_instance_in_its_own(zones: str) -> None:
    template = template_of(az="us-east-1c", zones=zones)
    subnet = only(template, "AWS::EC2::Instance")["Properties"]["SubnetId"]["Ref"]
    assert template["Resources"][subnet]["Properties"]["AvailabilityZone"] == "us-east-1c"
    assert len(only(template, "AWS::EC2::VPCEndpoint")["Properties"]["RouteTableIds"]) == len(subnets(template))


@pytest.mark.parametrize("zones", ["1", "3", "us-east-1a,us-east-1c"])
def test_without_az_the_instance_is_in_the_first_subnet_whatever_the_further_zones(zones: str) -> None:
    template = template_of(zones=zones)
    assert only(template, "AWS::EC2::Instance")["Properties"]["SubnetId"] == {"Ref": FIRST_SUBNET[0]}
