"""Checks a template's Rules: assertions over parameters, before anything is created.

Source: https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/rules-section-structure.html
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class RuleError(ValueError):
    """An assertion does not hold; the message is its description, in the service's frame."""


def check_rules(template: Mapping[str, Any], values: Mapping[str, Any]) -> None:
    """Raises `RuleError` for the first rule whose condition holds and one of whose assertions does not.

    `values` are the parameters' values by name.
    """
    for name, rule in template.get("Rules", {}).items():
        if "RuleCondition" in rule and not _evaluate(rule["RuleCondition"], values):
            continue
        for assertion in rule["Assertions"]:
            if not _evaluate(assertion["Assert"], values):
                why = assertion.get("AssertDescription", "")
                raise RuleError(f"Template validation error: Rule {name} failed: {why}".rstrip(": "))


def _evaluate(expression: Any, values: Mapping[str, Any]) -> Any:
    if isinstance(expression, list):
        return [_evaluate(item, values) for item in expression]
    if not isinstance(expression, dict):
        return expression
    [(name, argument)] = expression.items()
    if name == "Ref":
        return values.get(argument, argument)
    if name not in FUNCTIONS:
        raise RuleError(f"Template error: {name} is not a function for rules")
    return FUNCTIONS[name](*_evaluate(argument if isinstance(argument, list) else [argument], values))


FUNCTIONS: dict[str, Any] = {
    "Fn::And": lambda *all_of: all(all_of),
    "Fn::Or": lambda *any_of: any(any_of),
    "Fn::Not": lambda one: not one,
    "Fn::Equals": lambda first, second: str(first) == str(second),
    "Fn::Contains": lambda items, item: str(item) in map(str, items),
}
