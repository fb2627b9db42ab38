"""Turns what pydantic found into sentences for a person: the parameter, the value, the rule and a valid example."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ValidationError


def explain(error: ValidationError, model: type[BaseModel], spelled: Mapping[str, str] | None = None) -> list[str]:
    """One sentence for each value that breaks a rule of `model`, in the order of its fields.

    `spelled` maps fields to what the person called them, where that is not the parameter's name.
    """
    return [_sentence(dict(found), model, spelled or {}) for found in error.errors(include_url=False)]


def _sentence(found: dict[str, Any], model: type[BaseModel], spelled: Mapping[str, str]) -> str:
    if not found["loc"]:
        return _own_words(found)
    name = str(found["loc"][0])
    for field_name, field in model.model_fields.items():
        if name in (field_name, field.alias):
            extra = field.json_schema_extra
            rule = extra["rule"] if isinstance(extra, dict) else ""
            return f"{spelled.get(field_name, field.alias)} is {_shortened(found['input'])}, but must be {rule}."
    known = ", ".join(str(field.alias) for field in model.model_fields.values())
    return f"{name} is not a parameter; there are {known}."


def _own_words(found: dict[str, Any]) -> str:
    return str(found["msg"]).removeprefix("Value error, ") + "."


def _shortened(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:60]}… ({len(str(value))} characters)"
