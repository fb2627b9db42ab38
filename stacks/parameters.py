"""The CloudFormation parameters, made from the schemas of the job and of the machine.

CloudFormation checks them before it creates anything. Nothing is written twice: a field's alias is the parameter's
name, its constraints become a pattern, a range or allowed values, and its rule becomes the words of the refusal.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any

import annotated_types
from aws_cdk import CfnParameter, Fn, IResolvable, Stack, Token
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from stacks.facts.machine_parameters import FOR_THE_DEPLOYMENT_ONLY, MachineParameters
from stacks.integer_pattern import decimal_pattern, integer_pattern
from userdata.job.job import Job
from userdata.job.parameter import is_models_own, rule_of

GROUPS: dict[str, type[BaseModel]] = {"The images": Job, "The machine": MachineParameters}
# What a pattern for any text has in it.
ANY_CHARACTER = r"[\s\S]"


@dataclass(frozen=True)
class Parameter:
    """One parameter as a person reads about it; `properties` are CloudFormation's."""

    name: str
    description: str
    rule: str
    properties: dict[str, Any]

    @property
    def is_plain(self) -> bool:
        """Whether CloudFormation lets only printable ASCII through, and no single quote.

        Numbers are not plain: their rule is a range, and AWS does not say how a number may be written.
        """
        pattern = self.properties.get("allowed_pattern", ANY_CHARACTER)
        return "allowed_values" in self.properties or ANY_CHARACTER not in pattern


def parameters_of(model: type[BaseModel]) -> Iterator[Parameter]:
    """The parameters of one schema, in the order of its fields."""
    for field in model.model_fields.values():
        assert isinstance(field.alias, str)
        yield Parameter(field.alias, field.description or "", rule_of(field), _properties(field))


def _properties(field: FieldInfo) -> dict[str, Any]:
    if is_models_own(field):
        return {**_or_empty(_constraints(field), field), "default": ""}
    return {**_constraints(field), "default": _as_text(field.default)}


def _or_empty(constraints: dict[str, Any], field: FieldInfo) -> dict[str, Any]:
    """`constraints` for a text that may also be empty, which CloudFormation's numbers cannot be."""
    if "allowed_values" in constraints:
        return {**constraints, "allowed_values": ["", *constraints["allowed_values"]]}
    if field.annotation is float:
        pattern = decimal_pattern(constraints["min_value"], constraints["max_value"])
    else:
        pattern = constraints["allowed_pattern"]
    return {"type": "String", "allowed_pattern": f"^$|{pattern}"}


def _constraints(field: FieldInfo) -> dict[str, Any]:
    if isinstance(field.annotation, type) and issubclass(field.annotation, Enum):
        return {"type": "String", "allowed_values": [m.value for m in field.annotation]}
    if field.annotation is int:
        return {"type": "String", **_whole_number(field)}
    if field.annotation is float:
        return {
            "type": "Number",
            "min_value": _bound(field, annotated_types.Ge, "ge"),
            "max_value": _bound(field, annotated_types.Le, "le"),
        }
    return {"type": "String", **_text(field)}


def _whole_number(field: FieldInfo) -> dict[str, Any]:
    low, high = _bound(field, annotated_types.Ge, "ge"), _bound(field, annotated_types.Le, "le")
    for metadata in field.metadata:
        if isinstance(metadata, annotated_types.MultipleOf):
            step: Any = metadata.multiple_of
            return {"allowed_values": [str(value) for value in range(low, high + 1, step)]}
    return {"allowed_pattern": integer_pattern(low, high)}


def _text(field: FieldInfo) -> dict[str, Any]:
    constraints: dict[str, Any] = {}
    for metadata in field.metadata:
        if isinstance(metadata, annotated_types.MinLen):
            constraints["min_length"] = metadata.min_length
        elif isinstance(metadata, annotated_types.MaxLen):
            constraints["max_length"] = metadata.max_length
        elif getattr(metadata, "pattern", None):
            constraints["allowed_pattern"] = metadata.pattern
    return constraints


def _bound(field: FieldInfo, kind: type, attribute: str) -> Any:
    return next(getattr(metadata, attribute) for metadata in field.metadata if isinstance(metadata, kind))


def _as_text(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


class Parameters:
    """The template's parameters, by name. Raises `KeyError` for a name that is none."""

    def __init__(self, stack: Stack) -> None:
        self._by_name: dict[str, CfnParameter] = {}
        self._plain: set[str] = set()
        for model in GROUPS.values():
            for parameter in parameters_of(model):
                self._by_name[parameter.name] = CfnParameter(
                    stack,
                    parameter.name,
                    description=f"{parameter.description} Must be {parameter.rule}.",
                    constraint_description=f"must be {parameter.rule}",
                    **parameter.properties,
                )
                if parameter.is_plain:
                    self._plain.add(parameter.name)
        stack.template_options.metadata = _console_groups()

    def text(self, name: str) -> str:
        """A reference to the parameter's value."""
        return self._by_name[name].value_as_string

    def reference(self, name: str) -> IResolvable:
        """A reference to the parameter's value where CDK's types ask for a number."""
        return Token.as_any({"Ref": self._by_name[name].logical_id})

    def plain(self) -> dict[str, str]:
        """The machine's parameters whose rules let only printable ASCII through, and no single quote."""
        return {name: parameter.value_as_string for name, parameter in self._machines() if name in self._plain}

    def free_text(self) -> dict[str, str]:
        """The machine's other parameters, encoded by CloudFormation: the only form in which they meet a script."""
        return {
            name: Fn.base64(Fn.join("", [parameter.value_as_string, "\n"]))
            for name, parameter in self._machines()
            if name not in self._plain
        }

    def _machines(self) -> Iterator[tuple[str, CfnParameter]]:
        return ((name, one) for name, one in self._by_name.items() if name not in FOR_THE_DEPLOYMENT_ONLY)


def _console_groups() -> dict[str, Any]:
    groups = [
        {"Label": {"default": title}, "Parameters": [parameter.name for parameter in parameters_of(model)]}
        for title, model in GROUPS.items()
    ]
    return {"AWS::CloudFormation::Interface": {"ParameterGroups": groups}}
