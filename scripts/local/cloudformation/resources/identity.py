"""AWS::IAM::Role and AWS::IAM::InstanceProfile. moto's own classes pass over managed policies and most updates."""

from __future__ import annotations

import contextlib
import functools
import json
from typing import Any

from moto.iam.aws_managed_policies import aws_managed_policies_data
from moto.iam.models import AWSManagedPolicy, iam_backends

from scripts.local.aws.account import Account
from scripts.local.cloudformation.resources.resource import Resource, ResourceType, Wanted

AWS_MANAGED = "arn:aws:iam::aws:policy/"


def _create_role(account: Account, wanted: Wanted) -> Resource:
    made = account.client("iam").create_role(
        RoleName=wanted.properties.get("RoleName") or wanted.name(),
        AssumeRolePolicyDocument=json.dumps(wanted.properties["AssumeRolePolicyDocument"]),
    )["Role"]
    resource = Resource(made["RoleName"], {"Arn": made["Arn"]})
    _update_role(account, resource, wanted)
    return resource


def _update_role(account: Account, resource: Resource, wanted: Wanted) -> None:
    """Sets who may assume the role, its policies, its description and its tags."""
    iam, name, properties = account.client("iam"), resource.physical_resource_id, wanted.properties
    # Past the API, which refuses documents without a Version; the real one takes them.
    role = iam_backends[account.id]["aws"].get_role(name)
    role.assume_role_policy_document = json.dumps(properties["AssumeRolePolicyDocument"])
    iam.update_role(RoleName=name, Description=properties.get("Description", ""))
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


def _inline(properties: dict[str, Any]) -> dict[str, Any]:
    return {policy["PolicyName"]: policy["PolicyDocument"] for policy in properties.get("Policies", [])}


@functools.cache
def _aws_managed() -> dict[str, Any]:
    """AWS's own policies, by name, as moto has copied them. Reading the copy takes a moment."""
    policies: dict[str, Any] = json.loads(aws_managed_policies_data)
    return policies


def _know(account: Account, arn: str) -> None:
    """Gives moto a policy of AWS's own, with AWS's document, so that it allows here what it allows there.

    moto would hold all of them or none, and refuses one that is not among them.
    """
    policies = iam_backends[account.id]["aws"].managed_policies
    name = arn.rpartition("/")[2]
    if arn.startswith(AWS_MANAGED) and arn not in policies and name in _aws_managed():
        policy = AWSManagedPolicy.from_data(name, account.id, account.region, _aws_managed()[name])
        policies[policy.arn] = policy


def _delete_role(account: Account, resource: Resource) -> None:
    """Deletes the role and what hangs on it."""
    iam, name = account.client("iam"), resource.physical_resource_id
    for policy in iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"]:
        iam.detach_role_policy(RoleName=name, PolicyArn=policy["PolicyArn"])
    for policy_name in iam.list_role_policies(RoleName=name)["PolicyNames"]:
        iam.delete_role_policy(RoleName=name, PolicyName=policy_name)
    for profile in iam.list_instance_profiles_for_role(RoleName=name)["InstanceProfiles"]:
        iam.remove_role_from_instance_profile(InstanceProfileName=profile["InstanceProfileName"], RoleName=name)
    iam.delete_role(RoleName=name)


def _create_profile(account: Account, wanted: Wanted) -> Resource:
    name = wanted.name(128)
    made = account.client("iam").create_instance_profile(InstanceProfileName=name)["InstanceProfile"]
    resource = Resource(name, {"Arn": made["Arn"]})
    _update_profile(account, resource, wanted)
    return resource


def _update_profile(account: Account, resource: Resource, wanted: Wanted) -> None:
    _remove_roles(account, resource)
    for role in wanted.properties["Roles"]:
        account.client("iam").add_role_to_instance_profile(
            InstanceProfileName=resource.physical_resource_id, RoleName=role
        )


def _delete_profile(account: Account, resource: Resource) -> None:
    _remove_roles(account, resource)
    account.client("iam").delete_instance_profile(InstanceProfileName=resource.physical_resource_id)


def _remove_roles(account: Account, resource: Resource) -> None:
    iam = account.client("iam")
    for role in resource.properties.get("Roles", []):
        with contextlib.suppress(iam.exceptions.NoSuchEntityException):
            iam.remove_role_from_instance_profile(InstanceProfileName=resource.physical_resource_id, RoleName=role)


TYPES = {
    "AWS::IAM::InstanceProfile": ResourceType(
        _create_profile, _delete_profile, _update_profile, frozenset(), frozenset({"Roles"})
    ),
    "AWS::IAM::Role": ResourceType(
        _create_role,
        _delete_role,
        _update_role,
        replaced_by=frozenset({"RoleName"}),
        properties=frozenset({"AssumeRolePolicyDocument", "Description", "ManagedPolicyArns", "Policies", "RoleName"}),
    ),
}
