import re
from typing import Any

import pytest

from stacks.facts.instance_types import INSTANCE_TYPES
from stacks.facts.machine_parameters import MachineParameters
from stacks.parameters import parameters_of


def pattern() -> str:
    (parameter,) = [one for one in parameters_of(MachineParameters) if one.name == "InstanceType"]
    properties: dict[str, Any] = parameter.properties
    return str(properties["allowed_pattern"])


def test_the_parameter_takes_every_type_of_the_table() -> None:
    assert [name for name in INSTANCE_TYPES if not re.fullmatch(pattern(), name)] == []


@pytest.mark.parametrize(
    ("name", "vcpus", "memory_gib", "gpus"),
    [
        ("g4dn.xlarge", 4, 16, 1),
        ("g5.12xlarge", 48, 192, 4),
        ("g6.16xlarge", 64, 256, 1),
        ("gr6.4xlarge", 16, 128, 1),
        ("gr6.8xlarge", 32, 256, 1),
        ("g6e.xlarge", 4, 32, 1),
        ("g6e.48xlarge", 192, 1536, 8),
        ("g7.2xlarge", 8, 32, 1),
        ("g7e.2xlarge", 8, 64, 1),
        ("p6-b300.48xlarge", 192, 4096, 8),
    ],
)
def test_sizes_are_as_aws_states_them(name: str, vcpus: int, memory_gib: int, gpus: int) -> None:
    found = INSTANCE_TYPES[name]
    assert (found.vcpus, found.memory_gib, found.gpus) == (vcpus, memory_gib, gpus)
