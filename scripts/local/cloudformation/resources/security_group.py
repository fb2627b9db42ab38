"""AWS::EC2::SecurityGroup, and AWS::EC2::SecurityGroupIngress, an inbound rule of its own.

moto's own classes pass over outbound rules and the deletion of a rule, and make a new group for every change.
"""

from __future__ import annotations

from typing import Any

from scripts.local.aws.account import Account
from scripts.local.cloudformation.resources.resource import Resource, ResourceType, Wanted, tag_ec2

EVERYWHERE = {"IpProtocol": "-1", "CidrIp": "0.0.0.0/0"}


def _create_group(account: Account, wanted: Wanted) -> Resource:
    properties = wanted.properties
    group_id = account.client("ec2").create_security_group(
        GroupName=wanted.name(255), Description=properties["GroupDescription"], VpcId=properties["VpcId"]
    )["GroupId"]
    resource = Resource(group_id, {"GroupId": group_id})
    _update_group(account, resource, wanted)
    return resource


def _update_group(account: Account, resource: Resource, wanted: Wanted) -> None:
    """Sets the outbound rules that stand in the group; rules that are resources of their own stay."""
    ec2, group_id = account.client("ec2"), resource.physical_resource_id
    # EC2 gives a new group an outbound rule to everywhere; the service takes it away when the template names any.
    # Rules are told apart by what they allow, as EC2 does: another description alone is the same rule.
    before = {str(_bare(rule)): rule for rule in resource.properties.get("SecurityGroupEgress") or [EVERYWHERE]}
    after = {str(_bare(rule)): rule for rule in wanted.properties.get("SecurityGroupEgress") or [EVERYWHERE]}
    for name in before.keys() - after.keys():
        ec2.revoke_security_group_egress(GroupId=group_id, IpPermissions=[_permission(_bare(before[name]))])
    for name in after.keys() - before.keys():
        ec2.authorize_security_group_egress(GroupId=group_id, IpPermissions=[_permission(after[name])])
    tag_ec2(account, group_id, wanted, resource.properties)


def _delete_group(account: Account, resource: Resource) -> None:
    account.client("ec2").delete_security_group(GroupId=resource.physical_resource_id)


def _create_ingress(account: Account, wanted: Wanted) -> Resource:
    rule = wanted.properties
    account.client("ec2").authorize_security_group_ingress(GroupId=rule["GroupId"], IpPermissions=[_permission(rule)])
    return Resource(wanted.name())


def _delete_ingress(account: Account, resource: Resource) -> None:
    rule = _permission(_bare(resource.properties))
    account.client("ec2").revoke_security_group_ingress(GroupId=resource.properties["GroupId"], IpPermissions=[rule])


def _bare(rule: dict[str, Any]) -> dict[str, Any]:
    """The rule without its description, in an order and with texts that can be compared."""
    return {name: str(value) for name, value in sorted(rule.items()) if name != "Description"}


def _permission(rule: dict[str, Any]) -> dict[str, Any]:
    """A rule of a template as EC2's API wants it."""
    ports = {name: int(rule[name]) for name in rule if name in ("FromPort", "ToPort")}
    where = {name: rule[name] for name in rule if name in ("CidrIp", "Description")}
    return {"IpProtocol": str(rule["IpProtocol"]), **ports, "IpRanges": [where]}


TYPES = {
    "AWS::EC2::SecurityGroup": ResourceType(
        _create_group,
        _delete_group,
        _update_group,
        replaced_by=frozenset({"GroupDescription", "VpcId"}),
        properties=frozenset({"GroupDescription", "SecurityGroupEgress", "VpcId"}),
    ),
    "AWS::EC2::SecurityGroupIngress": ResourceType(
        _create_ingress,
        _delete_ingress,
        properties=frozenset({"CidrIp", "Description", "FromPort", "GroupId", "IpProtocol", "ToPort"}),
    ),
}
