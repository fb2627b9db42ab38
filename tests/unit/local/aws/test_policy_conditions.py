from __future__ import annotations

from typing import Any

import pytest

from scripts.local.aws.policy_conditions import context_of, hold

CLOSE: dict[str, Any] = {"NumericEquals": {"autoscaling:MaxSize": "0"}}
SIZE: dict[str, Any] = {"NumericLessThanEqualsIfExists": {"autoscaling:MinSize": "4", "autoscaling:MaxSize": "4"}}
OTHERS = ("MaxSize", "MinSize", "InstanceTypes", "LaunchTemplateVersionSpecified", "VPCZoneIdentifiers")
MARKET: dict[str, Any] = {"Null": {f"autoscaling:{key}": "true" for key in OTHERS}}
SHARES = {"OnDemandPercentageAboveBaseCapacity": 100}
SHARE: dict[str, Any] = {"MixedInstancesPolicy": {"InstancesDistribution": SHARES}}
TYPES: dict[str, Any] = {"MixedInstancesPolicy": {"LaunchTemplate": {"Overrides": [{"InstanceType": "p5.48xlarge"}]}}}
TEMPLATE: dict[str, Any] = {"MixedInstancesPolicy": {"LaunchTemplate": {"LaunchTemplateSpecification": {}}}}


@pytest.mark.parametrize(
    ("conditions", "asked", "holds"),
    [
        (CLOSE, {"MinSize": 0, "MaxSize": 0}, True),
        (CLOSE, {"MaxSize": 1}, False),
        (CLOSE, {"DesiredCapacity": 3}, False),
        (SIZE, {"MaxSize": 4}, True),
        (SIZE, {"MinSize": 5}, False),
        (SIZE, {"DesiredCapacity": 3}, True),
        (MARKET, SHARE, True),
        (MARKET, SHARE | {"MaxSize": 500}, False),
        (MARKET, SHARE | {"DesiredCapacity": 3}, True),  # for which IAM has no condition
        (MARKET, {"VPCZoneIdentifier": "subnet-1"}, False),
        (MARKET, TYPES, False),
        (MARKET, TEMPLATE, False),
        ({"StringEquals": {"aws:SourceAccount": "1"}}, {}, True),
    ],
)
def test_a_statement_holds_where_what_is_asked_for_meets_its_conditions(
    conditions: dict[str, Any], asked: dict[str, Any], holds: bool
) -> None:
    assert hold(conditions, context_of("UpdateAutoScalingGroup", asked)) is holds


def test_an_operator_that_is_not_emulated_is_refused() -> None:
    with pytest.raises(ValueError, match="does not emulate the condition StringLike"):
        hold({"StringLike": {"autoscaling:MaxSize": "*"}}, {})
