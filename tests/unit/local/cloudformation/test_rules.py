from __future__ import annotations

from typing import Any

import pytest

from scripts.local.cloudformation.rules import RuleError, check_rules


def template(condition: Any, assertion: Any) -> dict[str, Any]:
    rule: dict[str, Any] = {"Assertions": [{"Assert": assertion, "AssertDescription": "spot cannot be kept"}]}
    if condition is not None:
        rule["RuleCondition"] = condition
    return {"Rules": {"Keep": rule}}


SPOT = {"Fn::Equals": [{"Ref": "Market"}, "spot"]}
NOT_KEPT = {"Fn::Not": [{"Fn::Equals": [{"Ref": "AfterRun"}, "keep"]}]}


def test_an_assertion_that_fails_is_refused_with_its_description() -> None:
    with pytest.raises(RuleError, match="Keep failed: spot cannot be kept"):
        check_rules(template(SPOT, NOT_KEPT), {"Market": "spot", "AfterRun": "keep"})


@pytest.mark.parametrize(
    "values", [{"Market": "spot", "AfterRun": "stop"}, {"Market": "on-demand", "AfterRun": "keep"}]
)
def test_a_rule_that_holds_or_does_not_apply_passes(values: dict[str, str]) -> None:
    check_rules(template(SPOT, NOT_KEPT), values)


def test_membership() -> None:
    contains = {"Fn::Contains": [["a", "b"], {"Ref": "X"}]}
    check_rules(template(None, contains), {"X": "a"})
    with pytest.raises(RuleError):
        check_rules(template(None, contains), {"X": "c"})
