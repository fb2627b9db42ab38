"""Who may reach the instance: nobody from outside, unless an SSH range is given."""

from __future__ import annotations

from aws_cdk import CfnCondition, Fn
from aws_cdk import aws_ec2 as ec2
from constructs import Construct

from stacks.acknowledge import NIST, acknowledge


class Access(Construct):
    """A security group, which has an inbound rule only if `ssh_cidr` is not empty, and a key pair.

    EC2 makes the key; its private half lies in Parameter Store and goes with the stack.
    """

    def __init__(self, scope: Construct, construct_id: str, *, vpc: ec2.IVpc, ssh_cidr: str) -> None:
        super().__init__(scope, construct_id)
        self.security_group = ec2.SecurityGroup(
            self, "SecurityGroup", vpc=vpc, description="sd-on-ec2: no inbound port unless SshCidr is given"
        )
        self.key_pair = ec2.KeyPair(self, "KeyPair", type=ec2.KeyPairType.ED25519)
        self._allow_ssh(ssh_cidr)

    def _allow_ssh(self, ssh_cidr: str) -> None:
        given = CfnCondition(self, "SshGiven", expression=Fn.condition_not(Fn.condition_equals(ssh_cidr, "")))
        rule = ec2.CfnSecurityGroupIngress(
            self,
            "Ssh",
            group_id=self.security_group.security_group_id,
            ip_protocol="tcp",
            from_port=22,
            to_port=22,
            cidr_ip=ssh_cidr,
            description="SSH from SshCidr",
        )
        rule.cfn_options.condition = given
        acknowledge(
            rule,
            {"EC23": "The rule cannot read a parameter; SshCidr's pattern refuses every range wider than /8."},
        )
        acknowledge(
            rule,
            dict.fromkeys(
                ("EC2RestrictedCommonPorts", "EC2RestrictedSSH"),
                "The rule cannot read a parameter; without SshCidr there is no port, and no range wider than /8.",
            ),
            NIST,
        )
