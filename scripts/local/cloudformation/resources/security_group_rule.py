"""AWS::EC2::SecurityGroupIngress and AWS::EC2::SecurityGroupEgress."""

from __future__ import annotations

from typing import Any

from scripts.local.aws.account import Account
from scripts.local.cloudformation.resources.resource import Resource, ResourceType, Wanted


def permission_of(rule: dict[str, Any]) -> dict[str, Any]:
    """A rule of a template as EC2's API wants it."""
    permission: dict[str, Any] = {"IpProtocol": str(rule["IpProtocol"])}
    for port in ("FromPort", "ToPort"):
        if port in rule:
            permission[port] = int(rule[port])
    note = {"Description": rule["Description"]} if "Description" in rule else {}
    if "CidrIp" in rule:
        permission["IpRanges"] = [{"CidrIp": rule["CidrIp"], **note}]
    if "CidrIpv6" in rule:
        permission["Ipv6Ranges"] = [{"CidrIpv6": rule["CidrIpv6"], **note}]
    group = rule.get("SourceSecurityGroupId") or rule.get("DestinationSecurityGroupId")
    if group:
        permission["UserIdGroupPairs"] = [{"GroupId": group, **note}]
    prefixes = rule.get("SourcePrefixListId") or rule.get("DestinationPrefixListId")
    if prefixes:
        permission["PrefixListIds"] = [{"PrefixListId": prefixes, **note}]
    return permission


class SecurityGroupIngress(ResourceType):
    """An inbound rule. moto's own class passes over the deletion."""

    type = "AWS::EC2::SecurityGroupIngress"
    direction = "ingress"

    def create(self, account: Account, wanted: Wanted) -> Resource:
        """Adds the rule."""
        self._call(account, "authorize", wanted.properties)
        return Resource(wanted.name())

    def delete(self, account: Account, resource: Resource) -> None:
        """Takes the rule away."""
        bare = {name: value for name, value in resource.properties.items() if name != "Description"}
        self._call(account, "revoke", bare)

    def _call(self, account: Account, verb: str, properties: dict[str, Any]) -> None:
        call = getattr(account.client("ec2"), f"{verb}_security_group_{self.direction}")
        call(GroupId=properties["GroupId"], IpPermissions=[permission_of(properties)])


class SecurityGroupEgress(SecurityGroupIngress):
    """An outbound rule; moto has no class for it."""

    type = "AWS::EC2::SecurityGroupEgress"
    direction = "egress"
