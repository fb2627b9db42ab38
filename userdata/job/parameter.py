"""One parameter: a field of a schema, and the words in which people read about the field."""

from __future__ import annotations

import re
from enum import EnumType
from typing import Any

import annotated_types
from pydantic import Field
from pydantic.fields import FieldInfo

NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
FRACTION = re.compile(r"[0-9]{1,20}(?:\.[0-9]{1,13})?")


def parameter(
    default: Any,
    *,
    name: str,
    description: str,
    rule: str = "",
    example: Any = None,
    note: str = "",
    models_own: bool = False,
    flag: bool = False,
    **constraints: Any,
) -> Any:
    """A field that is also a CloudFormation parameter called `name`.

    `rule` completes the sentence "`name` must be". A choice and a range of numbers need none: `rule_of` makes it of the
    constraints, with `example`, or else the default, and `note` behind the example.

    `models_own` says that the parameter is empty unless it is given, and then takes the value of the model's own
    `defaults`; `default` is that of the model that is the default. `flag` says that the parameter is a flag on the
    command line, without a value, because the original scripts have such a flag.
    """
    if models_own:
        description = f"{description} Empty: the model's own, for Stable Diffusion v1 {default}."
    extra: dict[str, Any] = {"rule": rule, "example": example, "note": note, "models_own": models_own, "flag": flag}
    return Field(default, alias=name, description=description, json_schema_extra=extra, **constraints)


def plain_number(value: Any) -> Any:
    """`value`, unless its text is a number for Python alone, and none for CloudFormation: `1_0`, ` 7`, `７`; or a flag.

    Raises `ValueError` for those.
    """
    if isinstance(value, bool) or (isinstance(value, str) and not NUMBER.fullmatch(value)):
        raise ValueError("not a number")
    return value


def plain_fraction(value: Any) -> Any:
    """The same for a number that is text for CloudFormation, with a pattern: `1e1`, `.5` and `+7` are none either."""
    if isinstance(value, str) and not FRACTION.fullmatch(value):
        raise ValueError("not a number")
    return plain_number(value)


def rule_of(field: FieldInfo) -> str:
    """What completes the sentence "NAME must be" for `field`, so that words and constraints cannot disagree."""
    said = _said_of(field)
    if said["rule"]:
        return str(said["rule"])
    if isinstance(field.annotation, EnumType):
        return f"one of {range_of(field)}"
    kind = "a whole number" if field.annotation is int else "a number"
    example = field.default if said["example"] is None else said["example"]
    return f"{kind} from {range_of(field)}, for example {example}{said['note']}"


def range_of(field: FieldInfo) -> str:
    """The choices of `field`, or its lowest and highest number; nothing for a text, whose rule is a sentence."""
    if isinstance(field.annotation, EnumType):
        return ", ".join(choice.value for choice in field.annotation)
    bounds = [
        bound.ge if isinstance(bound, annotated_types.Ge) else bound.le
        for bound in field.metadata
        if isinstance(bound, (annotated_types.Ge, annotated_types.Le))
    ]
    return " to ".join(map(str, bounds))


def is_models_own(field: FieldInfo) -> bool:
    """Whether `field` takes the model's own value unless the parameter is given."""
    return bool(_said_of(field)["models_own"])


def is_flag(field: FieldInfo) -> bool:
    """Whether `field` is a flag on the command line."""
    return bool(_said_of(field)["flag"])


def _said_of(field: FieldInfo) -> dict[str, Any]:
    assert isinstance(field.json_schema_extra, dict)
    return field.json_schema_extra
