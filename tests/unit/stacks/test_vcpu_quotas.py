from __future__ import annotations

import pytest

from stacks.facts.instance_types import INSTANCE_TYPES
from stacks.facts.vcpu_quotas import QUOTAS, quota_kind


@pytest.mark.parametrize(
    ("instance_type", "spot", "code"),
    [
        ("g5.xlarge", False, "L-DB2E81BA"), ("g4dn.xlarge", True, "L-3819A6DF"), ("gr6.4xlarge", False, "L-DB2E81BA"),
        ("vt1.3xlarge", True, "L-3819A6DF"), ("p5.4xlarge", False, "L-417A185B"), ("p5en.48xlarge", True, "L-C4BD4855"),
        ("p4d.24xlarge", True, "L-7212CCBC"), ("p6-b200.48xlarge", False, "L-417A185B"),
    ],
)  # fmt: skip
def test_each_family_has_its_quota(instance_type: str, spot: bool, code: str) -> None:
    kind = quota_kind(instance_type, spot=spot)
    assert kind is not None
    assert kind.code == code


def test_every_supported_type_has_exactly_one_on_demand_quota() -> None:
    for name in INSTANCE_TYPES:
        assert sum(kind.counts(name, spot=False) for kind in QUOTAS) == 1, name
    assert quota_kind("p6-b200.48xlarge", spot=True) is None
    assert quota_kind("t3.micro", spot=False) is None
