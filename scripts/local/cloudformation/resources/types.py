"""Which class is responsible for which type."""

from __future__ import annotations

from functools import cache

from scripts.local.cloudformation.resources.alarm import Alarm
from scripts.local.cloudformation.resources.auto_delete_objects import AutoDeleteObjects
from scripts.local.cloudformation.resources.bucket import Bucket
from scripts.local.cloudformation.resources.bucket_policy import BucketPolicy
from scripts.local.cloudformation.resources.budget import Budget
from scripts.local.cloudformation.resources.gateway_attachment import GatewayAttachment
from scripts.local.cloudformation.resources.instance import Instance
from scripts.local.cloudformation.resources.instance_profile import InstanceProfile
from scripts.local.cloudformation.resources.internet_gateway import InternetGateway
from scripts.local.cloudformation.resources.key_pair import KeyPair
from scripts.local.cloudformation.resources.launch_template import LaunchTemplate
from scripts.local.cloudformation.resources.metadata import Metadata
from scripts.local.cloudformation.resources.moto_type import MotoType
from scripts.local.cloudformation.resources.queue_policy import QueuePolicy
from scripts.local.cloudformation.resources.resource import ResourceType
from scripts.local.cloudformation.resources.role import Role
from scripts.local.cloudformation.resources.route import Route
from scripts.local.cloudformation.resources.route_table import RouteTable
from scripts.local.cloudformation.resources.schedule import Schedule
from scripts.local.cloudformation.resources.security_group import SecurityGroup
from scripts.local.cloudformation.resources.security_group_rule import SecurityGroupEgress, SecurityGroupIngress
from scripts.local.cloudformation.resources.subnet import Subnet
from scripts.local.cloudformation.resources.subnet_route_table_association import SubnetRouteTableAssociation
from scripts.local.cloudformation.resources.vpc import Vpc
from scripts.local.cloudformation.resources.vpc_endpoint import VpcEndpoint

OURS: tuple[type[ResourceType], ...] = (
    Alarm,
    AutoDeleteObjects,
    Bucket,
    BucketPolicy,
    Budget,
    GatewayAttachment,
    Instance,
    InstanceProfile,
    InternetGateway,
    KeyPair,
    LaunchTemplate,
    Metadata,
    QueuePolicy,
    Role,
    Route,
    RouteTable,
    Schedule,
    SecurityGroup,
    SecurityGroupEgress,
    SecurityGroupIngress,
    Subnet,
    SubnetRouteTableAssociation,
    Vpc,
    VpcEndpoint,
)


@cache
def resource_type(name: str) -> ResourceType:
    """The class for a type's name: ours, or else one that hands the work to moto.

    Raises `ValueError` for a type that neither knows: it would silently be missing.
    """
    for ours in OURS:
        if ours.type == name:
            return ours()
    return MotoType(name)
