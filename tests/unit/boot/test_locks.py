import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.markers import default_environment
from packaging.requirements import Requirement

from tests.unit.boot.conftest import BUNDLE, REPOSITORY


def locked(path: Path, python: str) -> dict[str, str]:
    """The version of every package in a lock, for that Python on Linux."""
    environment: dict[str, Any] = {
        **default_environment(),
        "python_version": python.rpartition(".")[0],
        "python_full_version": python,
    }
    environment |= {"sys_platform": "linux", "platform_system": "Linux", "platform_machine": "x86_64"}
    lines = re.findall(r"^[A-Za-z0-9].*?(?= \\$|$)", path.read_text(), re.MULTILINE)
    requirements = [Requirement(line) for line in lines]
    return {
        requirement.name: str(requirement.specifier)
        for requirement in requirements
        if not requirement.marker or requirement.marker.evaluate(environment)
    }


@pytest.fixture(scope="module")
def python() -> str:
    (pinned,) = [
        entry.removeprefix("python=")
        for entry in yaml.safe_load((BUNDLE / "environment.yaml").read_text())["dependencies"]
        if entry.startswith("python=")
    ]
    return str(pinned)


def test_an_instance_runs_the_versions_that_a_persons_machine_tests(python: str) -> None:
    instance = locked(BUNDLE / "requirements.txt", python)
    person = locked(REPOSITORY / "requirements.txt", python) | locked(REPOSITORY / "requirements-torch.txt", python)
    common = instance.keys() & person.keys()
    assert {"torch", "diffusers", "transformers", "accelerate", "safetensors", "boto3", "pydantic", "pillow"} <= common
    assert {name: instance[name] for name in common} == {name: person[name] for name in common}


def test_every_package_of_the_instance_is_pinned_and_hashed() -> None:
    for block in re.split(r"\n(?=[A-Za-z0-9])", (BUNDLE / "requirements.txt").read_text())[1:]:
        assert re.match(r"[A-Za-z0-9._-]+(\[.*\])?==[^ ]+ ", block), block
        assert "--hash=sha256:" in block, block


def test_torch_is_the_build_for_cuda() -> None:
    assert "nvidia-cudnn-cu13" in locked(BUNDLE / "requirements.txt", "3.12.0")


def test_the_environment_takes_conda_forge_alone() -> None:
    definition = yaml.safe_load((BUNDLE / "environment.yaml").read_text())
    assert definition["name"] == "ldm"
    assert definition["channels"] == ["conda-forge", "nodefaults"]
