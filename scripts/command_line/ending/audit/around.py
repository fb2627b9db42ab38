"""What an instance needs around it: networks, groups, keys, templates. None of them costs money."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from scripts.command_line.ending.audit.leftover import OURS, Leftover, stack_of, tags_of

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client


def security_groups(ec2: EC2Client) -> Iterator[Leftover]:
    """Security groups."""
    for page in ec2.get_paginator("describe_security_groups").paginate(Filters=OURS):  # type: ignore[arg-type]
        for group in page["SecurityGroups"]:
            command = f"aws ec2 delete-security-group --group-id {group['GroupId']}"
            yield _free("security group", group["GroupId"], group["GroupName"], command, group.get("Tags", []))


def network_interfaces(ec2: EC2Client) -> Iterator[Leftover]:
    """Network interfaces in the project's networks: EC2 gives that of an instance no tags.

    Source: https://github.com/aws-cloudformation/cloudformation-coverage-roadmap/issues/1947
    """
    tags = {
        vpc["VpcId"]: vpc.get("Tags", [])
        for page in ec2.get_paginator("describe_vpcs").paginate(Filters=OURS)  # type: ignore[arg-type]
        for vpc in page["Vpcs"]
    }
    inside: Any = [{"Name": "vpc-id", "Values": list(tags)}]
    pages = ec2.get_paginator("describe_network_interfaces").paginate(Filters=inside) if tags else ()
    for interface in (interface for page in pages for interface in page["NetworkInterfaces"]):
        name = interface["NetworkInterfaceId"]
        command = f"aws ec2 delete-network-interface --network-interface-id {name}"
        yield _free("network interface", name, interface["Status"], command, tags[interface["VpcId"]])


def vpcs(ec2: EC2Client) -> Iterator[Leftover]:
    """Networks. Before a network, delete what is in it and is not listed here."""
    for page in ec2.get_paginator("describe_vpcs").paginate(Filters=OURS):  # type: ignore[arg-type]
        for vpc in page["Vpcs"]:
            command = f"aws ec2 delete-vpc --vpc-id {vpc['VpcId']}"
            yield _free("vpc", vpc["VpcId"], vpc["CidrBlock"], command, vpc.get("Tags", []))


def key_pairs(ec2: EC2Client) -> Iterator[Leftover]:
    """Key pairs, each with the private key that CloudFormation stored in Parameter Store."""
    for pair in ec2.describe_key_pairs(Filters=OURS)["KeyPairs"]:  # type: ignore[arg-type]
        command = (
            f"aws ec2 delete-key-pair --key-pair-id {pair['KeyPairId']}; "
            f"aws ssm delete-parameter --name /ec2/keypair/{pair['KeyPairId']}"
        )
        yield _free("key pair", pair["KeyPairId"], pair["KeyName"], command, pair.get("Tags", []))


def launch_templates(ec2: EC2Client) -> Iterator[Leftover]:
    """Launch templates."""
    for page in ec2.get_paginator("describe_launch_templates").paginate(Filters=OURS):  # type: ignore[arg-type]
        for template in page["LaunchTemplates"]:
            name = template["LaunchTemplateId"]
            command = f"aws ec2 delete-launch-template --launch-template-id {name}"
            detail = template["LaunchTemplateName"]
            yield _free("launch template", name, detail, command, template.get("Tags", []))


def _free(kind: str, name: str, detail: str, command: str, tags: object) -> Leftover:
    return Leftover(kind, name, detail, 0.0, command, stack_of(tags_of(tags)))  # type: ignore[arg-type]
