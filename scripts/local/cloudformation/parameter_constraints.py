"""Checks a stack's parameters as CloudFormation does, before anything is created, and with its words.

Source: https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/parameters-section-structure.html
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

LONGEST_VALUE = 4096  # bytes of UTF-8
LIST = "CommaDelimitedList"

Declaration = Mapping[str, Any]


class ParameterError(ValueError):
    """A parameter breaks a rule; the message is the service's."""


def check_parameters(declared: Mapping[str, Declaration], given: Mapping[str, str]) -> dict[str, str]:
    """The value of every declared parameter: the given one, or else its default.

    Raises `ParameterError` for the first that is unknown, missing or breaks a constraint.
    """
    unknown = [name for name in given if name not in declared]
    if unknown:
        raise ParameterError(f"Parameters: [{', '.join(unknown)}] do not exist in the template")
    missing = [name for name, one in declared.items() if name not in given and "Default" not in one]
    if missing:
        raise ParameterError(f"Parameters: [{', '.join(missing)}] must have values")
    values = {name: _as_text(given.get(name, one.get("Default"))) for name, one in declared.items()}
    for name, value in values.items():
        check_value(name, value, declared[name])
    return values


def check_value(name: str, value: str, declared: Declaration) -> None:
    """Raises `ParameterError` when a value breaks a constraint of its declaration."""
    if len(value.encode()) > LONGEST_VALUE:
        raise ParameterError(f"Parameter '{name}' must not be longer than {LONGEST_VALUE} bytes")
    kind = declared.get("Type", "String")
    items = [item.strip() for item in value.split(",")] if kind == LIST else [value]
    for item in items:
        broken = _broken_rule(item, kind, declared)
        if broken:
            description = declared.get("ConstraintDescription")
            raise ParameterError(
                f"Parameter {name} failed to satisfy constraint: {description}"
                if description
                else f"Parameter '{name}' {broken}"
            )


def _broken_rule(value: str, kind: str, declared: Declaration) -> str | None:
    allowed = declared.get("AllowedValues")
    if allowed is not None and value not in map(_as_text, allowed):
        return f"must be one of AllowedValues [{', '.join(map(_as_text, allowed))}]"
    pattern = declared.get("AllowedPattern")
    if pattern is not None and not re.fullmatch(pattern, value):
        return f"must match pattern {pattern}"
    if kind == "Number":
        return _broken_number_rule(value, declared)
    if "MinLength" in declared and len(value) < int(declared["MinLength"]):
        return f"must contain at least {declared['MinLength']} characters"
    if "MaxLength" in declared and len(value) > int(declared["MaxLength"]):
        return f"must contain at most {declared['MaxLength']} characters"
    return None


def _broken_number_rule(value: str, declared: Declaration) -> str | None:
    try:
        number = Decimal(value)
    except InvalidOperation:
        return "must be a number"
    if not number.is_finite() or not value.isascii() or "_" in value:
        return "must be a number"
    if "MinValue" in declared and number < Decimal(str(declared["MinValue"])):
        return f"must be a number not less than {declared['MinValue']}"
    if "MaxValue" in declared and number > Decimal(str(declared["MaxValue"])):
        return f"must be a number not greater than {declared['MaxValue']}"
    return None


def _as_text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
