"""AWS::IAM::InstanceProfile."""

from __future__ import annotations

import contextlib

from scripts.local.aws.account import Account
from scripts.local.cloudformation.resources.resource import Resource, ResourceType, Wanted


class InstanceProfile(ResourceType):
    """What gives an instance its role. moto's own class has no update."""

    type = "AWS::IAM::InstanceProfile"
    replaced_by = frozenset({"InstanceProfileName", "Path"})

    def create(self, account: Account, wanted: Wanted) -> Resource:
        """Makes the profile."""
        iam = account.client("iam")
        name = wanted.properties.get("InstanceProfileName") or wanted.name(128)
        made = iam.create_instance_profile(InstanceProfileName=name, Path=wanted.properties.get("Path", "/"))
        for role in wanted.properties["Roles"]:
            iam.add_role_to_instance_profile(InstanceProfileName=name, RoleName=role)
        return Resource(name, {"Arn": made["InstanceProfile"]["Arn"]})

    def update(self, account: Account, resource: Resource, wanted: Wanted) -> None:
        """Changes the role."""
        iam, name = account.client("iam"), resource.physical_resource_id
        self._remove_roles(account, resource)
        for role in wanted.properties["Roles"]:
            iam.add_role_to_instance_profile(InstanceProfileName=name, RoleName=role)

    def delete(self, account: Account, resource: Resource) -> None:
        """Deletes the profile."""
        self._remove_roles(account, resource)
        account.client("iam").delete_instance_profile(InstanceProfileName=resource.physical_resource_id)

    @staticmethod
    def _remove_roles(account: Account, resource: Resource) -> None:
        iam, name = account.client("iam"), resource.physical_resource_id
        for role in resource.properties["Roles"]:
            with contextlib.suppress(iam.exceptions.NoSuchEntityException):
                iam.remove_role_from_instance_profile(InstanceProfileName=name, RoleName=role)
