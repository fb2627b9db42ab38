"""Works out a template's intrinsic functions. Values keep their exact text: an inserted value is never read again."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Mapping
from typing import Any

NO_VALUE = object()
ZONES = ("a", "b", "c", "d")


class Resolver:
    """Replaces references and functions.

    `values` are parameters and pseudo parameters by name; `resource` gives the resource of a logical id (or raises
    `KeyError`), with `physical_resource_id` and `get_cfn_attribute`.
    """

    def __init__(self, template: Mapping[str, Any], values: Mapping[str, Any], resource: Callable[[str], Any]) -> None:
        self._template = template
        self._values = values
        self._resource = resource
        self._conditions: dict[str, bool] = {}

    def condition(self, name: str) -> bool:
        """Whether a named condition holds. Raises `KeyError` for one that the template does not have."""
        if name not in self._conditions:
            self._conditions[name] = self._holds(self._template["Conditions"][name])
        return self._conditions[name]

    def resolve(self, value: Any) -> Any:
        """The value with everything worked out; members and items that are AWS::NoValue are left out."""
        if isinstance(value, list):
            return [item for item in map(self.resolve, value) if item is not NO_VALUE]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            [(name, argument)] = value.items()
            if name == "Ref":
                return self._reference(argument)
            if name == "Condition" and isinstance(argument, str) and argument in self._template.get("Conditions", {}):
                return self.condition(argument)
            if name in CONDITIONS:
                return self._holds(value)
            if name in FUNCTIONS:
                return FUNCTIONS[name](self, argument)
            if name.startswith("Fn::"):
                raise ValueError(f"Template error: {name} is not emulated in the local cloud")
        resolved = {key: self.resolve(below) for key, below in value.items()}
        return {key: below for key, below in resolved.items() if below is not NO_VALUE}

    def _reference(self, name: str) -> Any:
        if name == "AWS::NoValue":
            return NO_VALUE
        if name in self._values:
            return self._values[name]
        return self._resource(name).physical_resource_id

    def _get_att(self, argument: Any) -> Any:
        name, attribute = argument.split(".", 1) if isinstance(argument, str) else argument
        return self._resource(name).get_cfn_attribute(self.resolve(attribute))

    def _if(self, argument: list[Any]) -> Any:
        name, then, otherwise = argument
        return self.resolve(then if self.condition(name) else otherwise)

    def _join(self, argument: list[Any]) -> str:
        separator, items = argument
        return str(separator).join(map(_text, self.resolve(items)))

    def _split(self, argument: list[Any]) -> list[str]:
        separator, text = argument
        return str(self.resolve(text)).split(separator)

    def _select(self, argument: list[Any]) -> Any:
        index, items = argument
        return self.resolve(items)[int(self.resolve(index))]

    def _sub(self, argument: Any) -> str:
        text, local = (argument, {}) if isinstance(argument, str) else argument
        own = {name: self.resolve(value) for name, value in local.items()}

        # One pass over the template's text: what is put in may itself hold ${...}, and stays as it is.
        def replacement(match: re.Match[str]) -> str:
            name = match[1].strip()
            if name.startswith("!"):
                return "${" + name[1:] + "}"
            if name in own:
                return _text(own[name])
            return _text(self._get_att(name) if "." in name else self._reference(name))

        return re.sub(r"\$\{([^}]*)\}", replacement, text)

    def _base64(self, argument: Any) -> str:
        return base64.b64encode(_text(self.resolve(argument)).encode()).decode()

    def _find_in_map(self, argument: list[Any]) -> Any:
        name, first, second = map(self.resolve, argument)
        return self._template["Mappings"][name][first][second]

    def _get_azs(self, argument: Any) -> list[str]:
        region = self.resolve(argument) or self._values["AWS::Region"]
        return [f"{region}{zone}" for zone in ZONES]

    def _holds(self, condition: Any) -> bool:
        if isinstance(condition, bool):
            return condition
        [(name, argument)] = condition.items()
        if name == "Condition":
            return self.condition(argument)
        if name == "Fn::Equals":
            first, second = map(self.resolve, argument)
            return bool(_text(first) == _text(second))
        if name not in CONDITIONS:
            raise ValueError(f"Template error: {name} is not a function for conditions")
        found = map(self._holds, argument)
        return not next(found) if name == "Fn::Not" else (all if name == "Fn::And" else any)(found)


CONDITIONS = ("Fn::And", "Fn::Equals", "Fn::Not", "Fn::Or")
FUNCTIONS: dict[str, Callable[[Resolver, Any], Any]] = {
    "Fn::Base64": Resolver._base64,
    "Fn::FindInMap": Resolver._find_in_map,
    "Fn::GetAZs": Resolver._get_azs,
    "Fn::GetAtt": Resolver._get_att,
    "Fn::If": Resolver._if,
    "Fn::Join": Resolver._join,
    "Fn::Select": Resolver._select,
    "Fn::Split": Resolver._split,
    "Fn::Sub": Resolver._sub,
}


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else json.dumps(value) if isinstance(value, (list, dict)) else str(value)
