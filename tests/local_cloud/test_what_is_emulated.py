"""The rule that keeps the local cloud small: what the product uses is emulated, and nothing else is."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from scripts.local.aws import bucket_policies
from scripts.local.bootstrap_stack import MODULE
from scripts.local.cloudformation import rules
from scripts.local.cloudformation.intrinsic_functions import CONDITIONS, FUNCTIONS
from scripts.local.cloudformation.resources import types
from scripts.local.cloudformation.resources.resource import Wanted
from scripts.local.cloudformation.template import parse_template
from scripts.local.command_environment import CHECKOUT
from scripts.local.machines import init, service_manager, unit_file
from tests.synth.conftest import AUDITED, read_template, synthesize

pytestmark = pytest.mark.local_cloud

USERDATA = CHECKOUT / "userdata"
# The CDK CLI asks for version reporting, which adds a resource of metadata with a condition.
CONTEXTS: tuple[dict[str, str], ...] = (*AUDITED.values(), {"aws:cdk:version-reporting": "true"})


@pytest.fixture(scope="module")
def templates(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What is deployed here: our template with every setting that adds something, and the CDK's bootstrap template."""
    bootstrap = MODULE.parent / "lib/api/bootstrap/bootstrap-template.yaml"
    found = [parse_template(bootstrap.read_text("utf-8"))]
    for context in CONTEXTS:
        out = tmp_path_factory.mktemp("assembly")
        finished = synthesize(out, **context)
        assert finished.returncode == 0, finished.stderr
        found.append(read_template(out))
    return found


def functions_in(part: Any) -> Iterator[str]:
    for name in part if isinstance(part, dict) else ():
        if name.startswith("Fn::"):
            yield name
    for below in part.values() if isinstance(part, dict) else part if isinstance(part, list) else ():
        yield from functions_in(below)


def test_types(templates: list[dict[str, Any]]) -> None:
    used = {resource["Type"] for template in templates for resource in template["Resources"].values()}
    assert used == types.NAMES


def test_properties(templates: list[dict[str, Any]]) -> None:
    used: dict[str, set[str]] = {}
    for template in templates:
        for resource in template["Resources"].values():
            properties = resource.get("Properties", {})
            used.setdefault(resource["Type"], {"Tags"}).update(properties)
            used.setdefault("AWS::EC2::Instance", {"Tags"}).update(properties.get("LaunchTemplateData", {}))
    emulated = {name: {*one.properties, "Tags"} for name, one in types.OURS.items() if one.properties is not None}
    used["AWS::IAM::Role"].remove("PermissionsBoundary")  # bootstrap's, if asked for; it is refused then
    assert {name: used[name] for name in emulated} == emulated


def test_conditions_of_buckets_policies(templates: list[dict[str, Any]]) -> None:
    used: set[tuple[str, str]] = set()
    for template in templates:
        for resource in template["Resources"].values():
            if resource["Type"] == "AWS::S3::BucketPolicy":
                used |= bucket_policies.conditions_in(resource["Properties"]["PolicyDocument"]["Statement"])
    assert used == bucket_policies.CONDITIONS


def test_a_property_that_is_not_emulated_is_refused() -> None:
    open_door = {"CidrIp": "0.0.0.0/0", "IpProtocol": "tcp", "FromPort": 22, "ToPort": 22}
    properties = {"GroupDescription": "any", "VpcId": "vpc-1", "SecurityGroupIngress": [open_door]}
    wanted = Wanted("Group", "AWS::EC2::SecurityGroup", properties, "Any", "arn:any")
    with pytest.raises(ValueError, match="does not emulate SecurityGroupIngress of AWS::EC2::SecurityGroup"):
        types.OURS[wanted.type].check(wanted)


def test_functions(templates: list[dict[str, Any]]) -> None:
    in_rules = {name for template in templates for name in functions_in(template.get("Rules"))}
    elsewhere = {name for template in templates for name in functions_in({**template, "Rules": None})}
    assert in_rules == rules.FUNCTIONS.keys()
    assert elsewhere == {*CONDITIONS, *FUNCTIONS}


def test_commands() -> None:
    shell = "\n".join(file.read_text("utf-8") for file in [*USERDATA.glob("*.sh"), USERDATA / "user-data.sh.j2"])
    python = "\n".join(file.read_text("utf-8") for file in (USERDATA / "boot").rglob("*.py"))
    shell = re.sub(r"<#.*?#>|^ *#[^\n]*$", "", shell, flags=re.DOTALL | re.MULTILINE)
    verbs = re.findall(r"systemctl ([a-z-]+)", shell) + re.findall(r'systemctl(?:\(|", )"([a-z-]+)"', python)
    assert set(verbs) == {*service_manager.VERBS, "poweroff"}
    in_shell = re.findall(r"\b(?:systemctl )?(?:shutdown|poweroff|reboot|halt)\b[-\w ]*", shell)
    in_python = [
        one.replace('", "', " ") for one in re.findall(r'\["((?:shutdown|poweroff|reboot|halt)\b.*)"\]', python)
    ]
    assert {one.strip() for one in in_shell + in_python} == {" ".join(words) for words in init.ENDING}


def test_keys_of_units() -> None:
    units = "\n".join(Path(file).read_text("utf-8") for file in USERDATA.glob("*.service"))
    services = "".join(re.findall(r"^\[Service\]$(.*?)(?=^\[|\Z)", units, re.DOTALL | re.MULTILINE))
    assert (
        set(re.findall(r"^(\w+)=", services, re.MULTILINE))
        == unit_file.READ | unit_file.PASSED_OVER | unit_file.OF_OTHER_UNITS
    )
