"""EC2's quotas of vCPUs: which one an instance type counts against."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class QuotaKind:
    """One quota, counted in vCPUs: its code and name in Service Quotas, and the families that count against it."""

    code: str
    name: str
    families: str
    spot: bool

    def counts(self, instance_type: str, *, spot: bool) -> bool:
        """Whether an instance of that type counts against it."""
        return spot is self.spot and bool(re.match(rf"(?:{self.families})[a-z0-9-]*\.", instance_type))


# Codes and names: https://docs.aws.amazon.com/ec2/latest/instancetypes/ec2-instance-quotas.html. It has no spot quota
# for P6, so none is claimed here.
QUOTAS = (
    QuotaKind("L-DB2E81BA", "Running On-Demand G and VT instances", r"gr?\d|vt\d", spot=False),
    QuotaKind("L-3819A6DF", "All G and VT Spot Instance Requests", r"gr?\d|vt\d", spot=True),
    QuotaKind("L-417A185B", "Running On-Demand P instances", r"p\d", spot=False),
    QuotaKind("L-7212CCBC", "All P4, P3 and P2 Spot Instance Requests", "p[234]", spot=True),
    QuotaKind("L-C4BD4855", "All P5 Spot Instance Requests", "p5", spot=True),
)


def quota_kind(instance_type: str, *, spot: bool) -> QuotaKind | None:
    """The quota that an instance of that type counts against, or None where none is known."""
    return next((kind for kind in QUOTAS if kind.counts(instance_type, spot=spot)), None)
