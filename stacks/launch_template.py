"""The launch template that the instance and the fleet have in common: image, disk, metadata service."""

from __future__ import annotations

from typing import Any

from aws_cdk import Tags, Token
from aws_cdk import aws_ec2 as ec2
from constructs import Construct

from stacks.access import Access
from stacks.facts.machine_image import DEEP_LEARNING_AMI
from stacks.facts.settings import Settings
from stacks.parameters import Parameters


def build_launch_template(
    scope: Construct, *, settings: Settings, parameters: Parameters, access: Access, **others: Any
) -> ec2.LaunchTemplate:
    """A launch template `LaunchTemplate` of `scope`; `others` are further properties of `ec2.LaunchTemplate`.

    The disk is encrypted and goes with the machine. The metadata service takes tokens alone, and answers nobody but
    the machine itself.
    """
    launch_template = ec2.LaunchTemplate(
        scope,
        "LaunchTemplate",
        machine_image=ec2.MachineImage.resolve_ssm_parameter_at_launch(DEEP_LEARNING_AMI),
        key_pair=access.key_pair,
        http_endpoint=True,
        http_tokens=ec2.LaunchTemplateHttpTokens.REQUIRED,
        http_put_response_hop_limit=1,
        block_devices=[
            ec2.BlockDevice(
                device_name=settings.root_device,
                volume=ec2.BlockDeviceVolume.ebs(
                    Token.as_number(parameters.reference("VolumeSize")),
                    volume_type=ec2.EbsDeviceVolumeType.GP3,
                    encrypted=True,
                    delete_on_termination=True,
                ),
            )
        ],
        **others,
    )
    Tags.of(launch_template).add("Name", "sd-on-ec2")
    if settings.ami:
        properties_of(launch_template).add_property_override("LaunchTemplateData.ImageId", settings.ami)
    return launch_template


def properties_of(launch_template: ec2.LaunchTemplate) -> ec2.CfnLaunchTemplate:
    """The resource itself, for what the construct has no property for."""
    template = launch_template.node.default_child
    assert isinstance(template, ec2.CfnLaunchTemplate)
    return template


def tags_at_launch(by_type: dict[str, dict[str, str]]) -> list[dict[str, object]]:
    """`TagSpecifications` of a launch template: the tags of each type of resource, by name."""
    return [
        {"ResourceType": kind, "Tags": [{"Key": key, "Value": value} for key, value in given.items()]}
        for kind, given in by_type.items()
    ]
