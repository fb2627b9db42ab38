"""Calls the emulated API with a template's properties."""

from __future__ import annotations

from typing import Any

from botocore import xform_name

TRUE, FALSE = ("true", "True"), ("false", "False")


def call(client: Any, operation: str, **parameters: Any) -> dict[str, Any]:
    """The answer of an operation, whose name is the API's, for example RunInstances.

    The parameters get the types that the operation's model asks for: a template may write numbers and booleans as text,
    and everything that comes from a template's parameter is text.
    """
    shape = client.meta.service_model.operation_model(operation).input_shape
    answer: dict[str, Any] = getattr(client, xform_name(operation))(**_convert(parameters, shape))
    return answer


def _convert(value: Any, shape: Any) -> Any:
    kind = shape.type_name if shape is not None else None
    if kind == "structure" and isinstance(value, dict):
        return {name: _convert(below, shape.members.get(name)) for name, below in value.items()}
    if kind == "list" and isinstance(value, list):
        return [_convert(item, shape.member) for item in value]
    if kind == "map" and isinstance(value, dict):
        return {name: _convert(below, shape.value) for name, below in value.items()}
    if kind == "boolean" and value in (*TRUE, *FALSE):
        return value in TRUE
    if kind in ("integer", "long") and isinstance(value, str):
        return int(value)
    if kind in ("float", "double") and isinstance(value, str):
        return float(value)
    if kind == "string" and isinstance(value, (int, float)) and not isinstance(value, bool):
        return str(value)
    return value
