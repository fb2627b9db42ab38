"""What a stack consists of at the moment, in the shape that moto's CloudFormation API reads."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from moto.cloudformation.parsing import Output

from scripts.local.cloudformation.resources.resource import Resource
from scripts.local.cloudformation.template import references


@dataclass
class StackState:
    """The resources by logical id, in the order in which they were made, and what they were made from.

    `parameters` are the values as text, defaults included.
    """

    template: dict[str, Any] = field(default_factory=dict)
    parameters: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    resources: dict[str, Resource] = field(default_factory=dict)
    no_echo_parameter_keys: list[str] = field(default_factory=list)

    @property
    def resolved_parameters(self) -> dict[str, str]:
        """What DescribeStacks shows: the values as they were given."""
        return self.parameters

    def values(self) -> Iterable[Resource]:
        """The resources."""
        return list(self.resources.values())

    def changes_to(self, template: dict[str, Any], parameters: dict[str, str]) -> dict[str, list[str]]:
        """The logical ids that a change set to another template or other parameters would name, by action."""
        before, after = self.template.get("Resources", {}), template["Resources"]
        changed = {name for name in parameters if self.parameters.get(name) != parameters[name]}
        return {
            "Add": [name for name in after if name not in before],
            "Modify": [
                name
                for name in after
                if name in before and (after[name] != before[name] or changed & set(references(after[name])))
            ],
            "Remove": [name for name in before if name not in after],
        }


@dataclass
class StackOutputs:
    """The outputs of a stack. None is exported: no stack here imports from another one."""

    outputs: list[Output] = field(default_factory=list)
    exports: list[Any] = field(default_factory=list)

    def values(self) -> list[Output]:
        """The outputs."""
        return self.outputs
