"""AWS::EC2::SecurityGroup."""

from __future__ import annotations

from typing import Any

from scripts.local.aws.account import Account
from scripts.local.cloudformation.resources.resource import Resource, ResourceType, Wanted, tag_ec2
from scripts.local.cloudformation.resources.security_group_rule import permission_of

EVERYWHERE = {"IpProtocol": "-1", "CidrIp": "0.0.0.0/0"}


class SecurityGroup(ResourceType):
    """A security group with the rules that stand in it.

    moto's own class passes over the outbound ones, and makes a new group for every change.
    """

    type = "AWS::EC2::SecurityGroup"
    replaced_by = frozenset({"GroupDescription", "GroupName", "VpcId"})

    def create(self, account: Account, wanted: Wanted) -> Resource:
        """Makes the group."""
        ec2 = account.client("ec2")
        asked = {"GroupName": wanted.properties.get("GroupName") or wanted.name(255)}
        if "VpcId" in wanted.properties:
            asked["VpcId"] = wanted.properties["VpcId"]
        group_id = ec2.create_security_group(Description=wanted.properties["GroupDescription"], **asked)["GroupId"]
        resource = Resource(group_id, {"GroupId": group_id, "VpcId": wanted.properties.get("VpcId", "")})
        self.update(account, resource, wanted)
        return resource

    def update(self, account: Account, resource: Resource, wanted: Wanted) -> None:
        """Sets the rules that stand in the group; rules that are resources of their own stay."""
        ec2, group_id = account.client("ec2"), resource.physical_resource_id
        # EC2 gives a new group an outbound rule to everywhere; the service takes it away when the template names any.
        before_out = resource.properties.get("SecurityGroupEgress") or [EVERYWHERE]
        after_out = wanted.properties.get("SecurityGroupEgress") or [EVERYWHERE]
        _change(before_out, after_out, ec2.revoke_security_group_egress, ec2.authorize_security_group_egress, group_id)
        before_in = resource.properties.get("SecurityGroupIngress", [])
        after_in = wanted.properties.get("SecurityGroupIngress", [])
        _change(before_in, after_in, ec2.revoke_security_group_ingress, ec2.authorize_security_group_ingress, group_id)
        tag_ec2(account, group_id, wanted, resource)

    def delete(self, account: Account, resource: Resource) -> None:
        """Deletes the group."""
        account.client("ec2").delete_security_group(GroupId=resource.physical_resource_id)


def _change(before: list[Any], after: list[Any], revoke: Any, authorize: Any, group_id: str) -> None:
    # Told apart by what they allow, as EC2 does: a rule whose description alone differs is the same rule.
    old = {str(_bare(rule)): rule for rule in before}
    new = {str(_bare(rule)): rule for rule in after}
    for key, rule in old.items():
        if key not in new:
            revoke(GroupId=group_id, IpPermissions=[permission_of(_bare(rule))])
    for key, rule in new.items():
        if key not in old:
            authorize(GroupId=group_id, IpPermissions=[permission_of(rule)])


def _bare(rule: dict[str, Any]) -> dict[str, Any]:
    return {name: str(value) for name, value in sorted(rule.items()) if name != "Description"}
