"""AWS::IAM::Role."""

from __future__ import annotations

import contextlib
import json
from typing import Any

from moto.iam.models import ManagedPolicy, iam_backends

from scripts.local.aws.account import Account
from scripts.local.cloudformation.resources.resource import Resource, ResourceType, Wanted

AWS_MANAGED = "arn:aws:iam::aws:policy/"


class Role(ResourceType):
    """A role with its policies. moto's own class passes over managed policies and most updates."""

    type = "AWS::IAM::Role"
    replaced_by = frozenset({"Path", "RoleName"})

    def create(self, account: Account, wanted: Wanted) -> Resource:
        """Makes the role."""
        properties = wanted.properties
        made = account.client("iam").create_role(
            RoleName=properties.get("RoleName") or wanted.name(),
            AssumeRolePolicyDocument=json.dumps(properties["AssumeRolePolicyDocument"]),
            Path=properties.get("Path", "/"),
        )["Role"]
        resource = Resource(made["RoleName"], {"Arn": made["Arn"], "RoleId": made["RoleId"]})
        self.update(account, resource, wanted)
        return resource

    def update(self, account: Account, resource: Resource, wanted: Wanted) -> None:
        """Sets who may assume the role, its policies, its description and its tags."""
        iam, name, properties = account.client("iam"), resource.physical_resource_id, wanted.properties
        # Past the API, which refuses documents without a Version; the real one takes them.
        role = iam_backends[account.id]["aws"].get_role(name)
        role.assume_role_policy_document = json.dumps(properties["AssumeRolePolicyDocument"])
        iam.update_role(
            RoleName=name,
            Description=properties.get("Description", ""),
            MaxSessionDuration=int(properties.get("MaxSessionDuration", 3600)),
        )
        for arn in resource.properties.get("ManagedPolicyArns", []):
            if arn not in properties.get("ManagedPolicyArns", []):
                iam.detach_role_policy(RoleName=name, PolicyArn=arn)
        for arn in properties.get("ManagedPolicyArns", []):
            _know(account, arn)
            iam.attach_role_policy(RoleName=name, PolicyArn=arn)
        before, after = _inline(resource.properties), _inline(properties)
        for policy_name in before.keys() - after.keys():
            iam.delete_role_policy(RoleName=name, PolicyName=policy_name)
        for policy_name, document in after.items():
            role.put_policy(policy_name, json.dumps(document))
        if wanted.tags:
            iam.tag_role(RoleName=name, Tags=[{"Key": key, "Value": value} for key, value in wanted.tags.items()])

    def delete(self, account: Account, resource: Resource) -> None:
        """Deletes the role and what hangs on it."""
        iam, name = account.client("iam"), resource.physical_resource_id
        for policy in iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"]:
            iam.detach_role_policy(RoleName=name, PolicyArn=policy["PolicyArn"])
        for policy_name in iam.list_role_policies(RoleName=name)["PolicyNames"]:
            iam.delete_role_policy(RoleName=name, PolicyName=policy_name)
        for profile in iam.list_instance_profiles_for_role(RoleName=name)["InstanceProfiles"]:
            with contextlib.suppress(iam.exceptions.NoSuchEntityException):
                iam.remove_role_from_instance_profile(InstanceProfileName=profile["InstanceProfileName"], RoleName=name)
        iam.delete_role(RoleName=name)


def _inline(properties: dict[str, Any]) -> dict[str, Any]:
    return {policy["PolicyName"]: policy["PolicyDocument"] for policy in properties.get("Policies", [])}


def _know(account: Account, arn: str) -> None:
    """Gives moto a policy of AWS's own that it does not hold; such a one allows nothing where IAM is enforced."""
    backend = iam_backends[account.id]["aws"]
    if not arn.startswith(AWS_MANAGED) or arn in backend.managed_policies:
        return
    empty = json.dumps({"Version": "2012-10-17", "Statement": []})
    path, _, name = arn.removeprefix(AWS_MANAGED).rpartition("/")
    policy: Any = ManagedPolicy(
        name, account_id=account.id, region=account.region, document=empty, path=f"/{path}/" if path else "/"
    )
    policy.__class__ = _AwsManagedPolicy
    backend.managed_policies[arn] = policy


class _AwsManagedPolicy(ManagedPolicy):  # type: ignore[misc]  # moto has no types
    @property
    def arn(self) -> str:
        return f"{AWS_MANAGED}{self.path.lstrip('/')}{self.name}"
