"""From an earlier version's template to this one: nothing that holds data is replaced, and what goes is named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from scripts.local.cloudformation.parameter_constraints import check_parameters
from scripts.local.cloudformation.resources.types import OURS, resource_type
from tests.synth.conftest import AUDITED, Template, read_template, synthesize
from tests.upgrades.kept import NAMES, kept

pytestmark = pytest.mark.synth

# What an update takes away, on purpose: the default network had three zones, and two of their subnets are not needed.
GONE = {
    "fe0c72c": {
        f"NetworkVpcPublicSubnet{name}"
        for name in (
            *("2SubnetC427CCE0", "2RouteTable0FACEBB2", "2RouteTableAssociationC662643B", "2DefaultRoute0CF082AB"),
            *("3Subnet4BBF7F47", "3RouteTable4F517CA2", "3RouteTableAssociationDBCF32A1", "3DefaultRoute320997B4"),
        )
    }
}
# What an update makes anew, on purpose.
REPLACED: dict[str, set[str]] = {}


@pytest.mark.parametrize("name", NAMES)
def test_an_update_takes_away_and_replaces_what_is_named_here_alone(template: Template, name: str) -> None:
    # The CLI adds the CDK's metadata, which is no resource.
    old = {key: one for key, one in kept(name).template["Resources"].items() if key != "CDKMetadata"}
    new = template["Resources"]
    assert old.keys() - new.keys() == GONE.get(name, set())
    assert {one for one in old.keys() & new.keys() if is_replaced(old[one], new[one])} == REPLACED.get(name, set())


def test_each_release_is_kept_with_the_settings_that_it_had() -> None:
    assert kept("0.1.0").others.keys() == AUDITED.keys() - {"default"}


@pytest.mark.parametrize(("name", "setting"), [(name, setting) for name in NAMES for setting in kept(name).others])
def test_an_update_with_other_settings_takes_away_and_replaces_nothing(tmp_path: Path, name: str, setting: str) -> None:
    finished = synthesize(tmp_path, **AUDITED[setting])
    assert finished.returncode == 0, finished.stderr
    old, new = kept(name).others[setting], read_template(tmp_path)
    assert old["Resources"].keys() - new["Resources"].keys() == set()
    assert {one for one, was in old["Resources"].items() if is_replaced(was, new["Resources"][one])} == set()
    assert old["Outputs"].keys() <= new["Outputs"].keys()  # by which the commands find the bucket and the instance
    conditions = {was.get("Condition") for was in old["Resources"].values()} - {None}  # such as that of SshCidr
    assert [one for one in conditions if old["Conditions"][one] != new["Conditions"].get(one)] == []
    given = {**kept(name).parameters, "SshCidr": "203.0.113.0/24"}
    check_parameters(new["Parameters"], {key: value for key, value in given.items() if key in old["Parameters"]})


@pytest.mark.parametrize("name", NAMES)
def test_what_a_stack_was_deployed_with_is_taken_again(template: Template, name: str) -> None:
    """`cdk deploy` hands in the values that the stack has, for every parameter that the new template still knows."""
    old = kept(name)
    assert old.parameters.keys() <= template["Parameters"].keys()
    check_parameters(template["Parameters"], old.parameters)
    defaults = {one: str(said["Default"]) for one, said in old.template["Parameters"].items() if "Default" in said}
    check_parameters(template["Parameters"], {**defaults, "Prompt": "a horse"})


def is_replaced(old: dict[str, Any], new: dict[str, Any]) -> bool:
    """By the texts of both templates: what a reference gives is the same, unless that resource is replaced itself."""
    if old["Type"] != new["Type"]:
        return True
    before, after = old.get("Properties", {}), new.get("Properties", {})
    # moto's own types tell nothing apart; of ours a link has nothing that could be lost.
    return old["Type"] in OURS and resource_type(new["Type"]).is_replaced(before, after)
