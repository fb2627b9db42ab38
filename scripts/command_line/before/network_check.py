"""What `sd doctor` checks about the network: a first deploy makes one, and a region has room for a few."""

from __future__ import annotations

from typing import TYPE_CHECKING

import boto3

from scripts.command_line.account.deployment import RETRIES
from scripts.command_line.account.plan import Plan
from scripts.command_line.before.check import Check
from scripts.command_line.terminal.command_error import aws_errors_in_words

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_service_quotas import ServiceQuotasClient

# "VPCs per Region". Source: https://docs.aws.amazon.com/vpc/latest/userguide/amazon-vpc-limits.html
VPCS = "L-F678F1CE"


def check_network(session: boto3.Session, plan: Plan) -> Check:
    """Whether the account may have one more VPC in the region."""
    name = "network"
    if plan.deployment:
        return Check(name, "ok", "the stack has its own")
    ec2: EC2Client = session.client("ec2", config=RETRIES)
    quotas: ServiceQuotasClient = session.client("service-quotas", config=RETRIES)
    with aws_errors_in_words("ask how many networks the account may have"):
        limit = quotas.get_service_quota(ServiceCode="vpc", QuotaCode=VPCS)["Quota"]["Value"]
        there = sum(len(page["Vpcs"]) for page in ec2.get_paginator("describe_vpcs").paginate())
    found = f"{there} of {limit:g} VPCs in {session.region_name}"
    if there < limit:
        return Check(name, "ok", f"{found}; this deploy makes one")
    mend = "delete one that nothing uses, or ask for more in the Service Quotas console, under Amazon VPC"
    return Check(name, "problem", f"{found}; this deploy needs one more", mend, blocks=True)
