"""What an instance is launched with: AWS::EC2::LaunchTemplate and AWS::EC2::KeyPair."""

from __future__ import annotations

from typing import Any

from moto.ec2.models import ec2_backends

from scripts.local.aws.account import Account
from scripts.local.cloudformation.resources.api_call import call
from scripts.local.cloudformation.resources.resource import Resource, ResourceType, Wanted, tag_ec2

RESOLVE_SSM = "resolve:ssm:"


def launch_template_data(account: Account, specification: dict[str, str] | None) -> dict[str, Any]:
    """The data of a version, empty without a specification; an image named by a parameter is looked up.

    `specification` has LaunchTemplateId and Version. Raises what the emulated API raises for a template or a parameter
    that does not exist.
    """
    if not specification:
        return {}
    # Past the API, which leaves out some of what it was given.
    template = ec2_backends[account.id][account.region].get_launch_template(specification["LaunchTemplateId"])
    stored = template.get_version(specification["Version"]).data
    data = {name: value for name, value in stored.items() if value is not None}
    if "UserData" in data:
        data["UserData"] = str(data["UserData"])
    image = data.get("ImageId", "")
    if image.startswith(RESOLVE_SSM):
        name = image.removeprefix(RESOLVE_SSM)
        data["ImageId"] = account.client("ssm").get_parameter(Name=name)["Parameter"]["Value"]
    return data


def _create_template(account: Account, wanted: Wanted) -> Resource:
    made = call(
        account.client("ec2"),
        "CreateLaunchTemplate",
        LaunchTemplateName=wanted.name(128),
        LaunchTemplateData=wanted.properties["LaunchTemplateData"],
    )["LaunchTemplate"]
    tag_ec2(account, made["LaunchTemplateId"], wanted, {})
    return Resource(made["LaunchTemplateId"], {"LatestVersionNumber": "1"})


def _update_template(account: Account, resource: Resource, wanted: Wanted) -> None:
    """Adds a version when the data changed; the default version stays the first, as with the real service."""
    data = wanted.properties["LaunchTemplateData"]
    if resource.properties["LaunchTemplateData"] != data:
        asked = {"LaunchTemplateId": resource.physical_resource_id, "LaunchTemplateData": data}
        made = call(account.client("ec2"), "CreateLaunchTemplateVersion", **asked)["LaunchTemplateVersion"]
        resource.attributes = {"LatestVersionNumber": str(made["VersionNumber"])}
    tag_ec2(account, resource.physical_resource_id, wanted, resource.properties)


def _delete_template(account: Account, resource: Resource) -> None:
    account.client("ec2").delete_launch_template(LaunchTemplateId=resource.physical_resource_id)


def _create_key(account: Account, wanted: Wanted) -> Resource:
    """Makes the pair; as the service does, keeps its private key in the parameter store.

    Source: https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-resource-ec2-keypair.html
    """
    name = wanted.properties["KeyName"]
    made = account.client("ec2").create_key_pair(KeyName=name, KeyType=wanted.properties.get("KeyType", "rsa"))
    account.client("ssm").put_parameter(
        Name=_parameter(made["KeyPairId"]), Value=made["KeyMaterial"], Type="SecureString"
    )
    tag_ec2(account, made["KeyPairId"], wanted, {})
    return Resource(name, {"KeyPairId": made["KeyPairId"]})


def _update_key(account: Account, resource: Resource, wanted: Wanted) -> None:
    tag_ec2(account, resource.get_cfn_attribute("KeyPairId"), wanted, resource.properties)


def _delete_key(account: Account, resource: Resource) -> None:
    account.client("ec2").delete_key_pair(KeyName=resource.physical_resource_id)
    account.client("ssm").delete_parameter(Name=_parameter(resource.get_cfn_attribute("KeyPairId")))


def _parameter(key_pair_id: str) -> str:
    return f"/ec2/keypair/{key_pair_id}"


TYPES = {
    "AWS::EC2::KeyPair": ResourceType(
        _create_key, _delete_key, _update_key, properties=frozenset({"KeyFormat", "KeyName", "KeyType"})
    ),
    "AWS::EC2::LaunchTemplate": ResourceType(
        _create_template,
        _delete_template,
        _update_template,
        replaced_by=frozenset({"TagSpecifications"}),
        properties=frozenset({"LaunchTemplateData", "TagSpecifications"}),
    ),
}
