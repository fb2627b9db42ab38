"""AWS::EC2::LaunchTemplate."""

from __future__ import annotations

from typing import Any

from scripts.local.aws.account import Account
from scripts.local.cloudformation.resources.api_parameters import api_parameters
from scripts.local.cloudformation.resources.resource import Resource, ResourceType, Wanted, tag_ec2


class LaunchTemplate(ResourceType):
    """A launch template; a change of its data makes a new version of it."""

    type = "AWS::EC2::LaunchTemplate"
    replaced_by = frozenset({"LaunchTemplateName", "TagSpecifications"})

    def create(self, account: Account, wanted: Wanted) -> Resource:
        """Makes the template with its first version."""
        ec2 = account.client("ec2")
        asked: dict[str, Any] = {
            "LaunchTemplateName": wanted.properties.get("LaunchTemplateName") or wanted.name(128),
            "LaunchTemplateData": wanted.properties["LaunchTemplateData"],
        }
        if "VersionDescription" in wanted.properties:
            asked["VersionDescription"] = wanted.properties["VersionDescription"]
        made = ec2.create_launch_template(**api_parameters(ec2, "CreateLaunchTemplate", asked))["LaunchTemplate"]
        tag_ec2(account, made["LaunchTemplateId"], wanted)
        return Resource(made["LaunchTemplateId"], _attributes(made["LaunchTemplateId"], 1))

    def update(self, account: Account, resource: Resource, wanted: Wanted) -> None:
        """Adds a version when the data changed; the default version stays the first, as with the real service."""
        ec2, template_id = account.client("ec2"), resource.physical_resource_id
        if resource.properties["LaunchTemplateData"] != wanted.properties["LaunchTemplateData"]:
            asked = {"LaunchTemplateId": template_id, "LaunchTemplateData": wanted.properties["LaunchTemplateData"]}
            made = ec2.create_launch_template_version(**api_parameters(ec2, "CreateLaunchTemplateVersion", asked))
            resource.attributes = _attributes(template_id, made["LaunchTemplateVersion"]["VersionNumber"])
        tag_ec2(account, template_id, wanted, resource)

    def delete(self, account: Account, resource: Resource) -> None:
        """Deletes the template with all its versions."""
        account.client("ec2").delete_launch_template(LaunchTemplateId=resource.physical_resource_id)


def _attributes(template_id: str, latest: int) -> dict[str, str]:
    return {"LaunchTemplateId": template_id, "LatestVersionNumber": str(latest), "DefaultVersionNumber": "1"}
