"""Turns pydantic's errors into sentences for a person: the parameter, the value, the rule and a valid example."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from userdata.job.parameter import rule_of

LONGEST_SHOWN = 80
# What Python makes of bytes of another encoding: halves of surrogate pairs.
HALF = re.compile("[\ud800-\udfff]")


def explain(error: ValidationError, model: type[BaseModel], spelled: Mapping[str, str] | None = None) -> list[str]:
    """One sentence for each value that breaks a rule of `model`, in the order of its fields.

    `spelled` maps fields to the names that the person used, where these are not the parameters' names.
    """
    return [_sentence(dict(found), model, spelled or {}) for found in error.errors(include_url=False)]


def _sentence(found: dict[str, Any], model: type[BaseModel], spelled: Mapping[str, str]) -> str:
    if not found["loc"]:
        return str(found["msg"]).removeprefix("Value error, ") + "."
    name = str(found["loc"][0])
    for field_name, field in model.model_fields.items():
        if name in (field_name, field.alias):
            value = repr(found["input"])
            said = spelled.get(field_name, field.alias)
            if isinstance(found["input"], str) and HALF.search(found["input"]):
                return f"{said} has bytes that are no UTF-8. Write it anew, in that encoding."
            if len(value) > LONGEST_SHOWN:
                value = f"{value[:60]}… ({len(str(found['input']))} characters)"
            return f"{said} is {value}, but must be {rule_of(field)}."
    known = ", ".join(str(field.alias) for field in model.model_fields.values())
    return f"{name} is not a parameter; there are {known}."
