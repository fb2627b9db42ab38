"""The account's vCPU quotas: how large each is, how much is in use, and what was asked for.

A new account often has a quota of 0, and a replacement starts the new instance before the old one is gone.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import boto3

from scripts.command_line.account.deployment import RETRIES
from scripts.command_line.terminal.command_error import aws_errors_in_words
from stacks.facts.instance_types import INSTANCE_TYPES
from stacks.facts.vcpu_quotas import QuotaKind

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_service_quotas import ServiceQuotasClient
    from mypy_boto3_service_quotas.type_defs import RequestedServiceQuotaChangeTypeDef

SERVICE = "ec2"
PENDING = ("PENDING", "CASE_OPENED")


@dataclass(frozen=True)
class QuotaUse:
    """A quota and how it is used, all in vCPUs.

    `limit` is the quota, `own` what the deployment's own instance takes while it runs, `others` what all others take,
    `type_vcpus` what the instance type has. `replaces` says that this deploy makes a new instance, which EC2
    counts while the old one still runs.
    """

    limit: float
    others: int
    own: int
    type_vcpus: int
    replaces: bool

    @property
    def free(self) -> float:
        """What is left beside all running instances, the deployment's own included; never negative."""
        return max(0.0, self.limit - self.others - self.own)

    @property
    def peak(self) -> int:
        """What this deploy takes at its peak. An instance that changes in place stops before it starts again."""
        return self.type_vcpus + (self.own if self.replaces else 0)

    @property
    def suffices(self) -> bool:
        """Whether this deploy can go through."""
        return self.others + self.peak <= self.limit

    @property
    def wanted(self) -> int:
        """The quota with which a running instance of this type can be replaced as well."""
        return self.others + max(self.peak, 2 * self.type_vcpus)

    @property
    def suffices_for_a_replacement(self) -> bool:
        """Whether a later replacement of the running instance can go through too."""
        return self.wanted <= self.limit


def vcpus_in_use(session: boto3.Session, kind: QuotaKind) -> dict[str, int]:
    """The vCPUs of each instance that counts against the quota now, by instance id. Raises `CommandError`.

    Pending and running instances count; stopped ones do not.
    """
    ec2: EC2Client = session.client("ec2", config=RETRIES)
    with aws_errors_in_words("ask which instances run"):
        pages = ec2.get_paginator("describe_instances").paginate(
            Filters=[{"Name": "instance-state-name", "Values": ["pending", "running"]}]
        )
        types: dict[str, str] = {
            instance["InstanceId"]: instance["InstanceType"]
            for page in pages
            for reservation in page["Reservations"]
            for instance in reservation["Instances"]
            if kind.counts(instance["InstanceType"], spot=instance.get("InstanceLifecycle") == "spot")
        }
        vcpus = _vcpus(ec2, set(types.values()))
    return {instance_id: vcpus[instance_type] for instance_id, instance_type in types.items()}


def _vcpus(ec2: EC2Client, types: Iterable[str]) -> dict[str, int]:
    known: dict[str, int] = {name: INSTANCE_TYPES[name].vcpus for name in types if name in INSTANCE_TYPES}
    others: Any = sorted(name for name in types if name not in known)
    if not others:
        return known
    described = ec2.describe_instance_types(InstanceTypes=others)["InstanceTypes"]
    return known | {str(one["InstanceType"]): one["VCpuInfo"]["DefaultVCpus"] for one in described}


def quota_limit(session: boto3.Session, kind: QuotaKind) -> float:
    """The account's quota in vCPUs; AWS's default where the account has none of its own. Raises `CommandError`."""
    client: ServiceQuotasClient = session.client("service-quotas", config=RETRIES)
    with aws_errors_in_words(f"read the quota {kind.code} ({kind.name})"):
        try:
            return client.get_service_quota(ServiceCode=SERVICE, QuotaCode=kind.code)["Quota"]["Value"]
        except client.exceptions.NoSuchResourceException:
            answer = client.get_aws_default_service_quota(ServiceCode=SERVICE, QuotaCode=kind.code)
            return answer["Quota"]["Value"]


@dataclass(frozen=True)
class QuotaRequest:
    """A request for more: its id, the quota in vCPUs, AWS's word for its state, its time (ISO 8601), its case id."""

    id: str
    vcpus: float
    status: str
    asked_at: str
    case_id: str

    @property
    def is_pending(self) -> bool:
        """Whether AWS has not decided yet."""
        return self.status in PENDING


def quota_requests(session: boto3.Session, kind: QuotaKind) -> list[QuotaRequest]:
    """Every request for a larger quota of that kind, the latest first. Raises `CommandError`."""
    client: ServiceQuotasClient = session.client("service-quotas", config=RETRIES)
    with aws_errors_in_words(f"list the requests for the quota {kind.code} ({kind.name})"):
        pages = client.get_paginator("list_requested_service_quota_change_history_by_quota").paginate(
            ServiceCode=SERVICE, QuotaCode=kind.code
        )
        found = [_request(one) for page in pages for one in page["RequestedQuotas"]]
    return sorted(found, key=lambda request: request.asked_at, reverse=True)


def ask_for(session: boto3.Session, kind: QuotaKind, vcpus: int) -> QuotaRequest:
    """Files a request for a quota of `vcpus`. Raises `CommandError`."""
    client: ServiceQuotasClient = session.client("service-quotas", config=RETRIES)
    with aws_errors_in_words(f"ask for {vcpus} vCPUs of the quota {kind.code} ({kind.name})"):
        answer = client.request_service_quota_increase(
            ServiceCode=SERVICE, QuotaCode=kind.code, DesiredValue=math.ceil(vcpus)
        )
    return _request(answer["RequestedQuota"])


def _request(answer: RequestedServiceQuotaChangeTypeDef) -> QuotaRequest:
    return QuotaRequest(
        id=answer.get("Id", ""),
        vcpus=answer.get("DesiredValue", 0),
        status=answer.get("Status", "PENDING"),
        asked_at=answer["Created"].isoformat() if "Created" in answer else "",
        case_id=answer.get("CaseId", ""),
    )
