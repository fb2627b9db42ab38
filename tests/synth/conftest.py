"""The template, synthesized once by the real app in a process of its own, as the CDK CLI runs it."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from scripts.local.cloudformation.rules import check_rules

ROOT = Path(__file__).parent.parent.parent
APP = [sys.executable, str(ROOT / "tests/synthesized_once.py"), f"{shlex.quote(sys.executable)} app.py"]
# Settings that together make every resource and every property, by a name.
AUDITED: dict[str, dict[str, str]] = json.loads((ROOT / "scripts/audited.json").read_text())
FLEET = AUDITED["fleet"]  # all that adds to a fleet
Template = dict[str, Any]


def synthesize(out: Path, **context: str) -> subprocess.CompletedProcess[str]:
    settings = {**json.loads((ROOT / "cdk.json").read_text())["context"], **context}
    environment = {
        "CDK_DEFAULT_REGION": "us-east-1",
        **os.environ,
        "CDK_OUTDIR": str(out),
        "CDK_CONTEXT_JSON": json.dumps(settings),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    return subprocess.run(APP, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=120)


def read_template(out: Path) -> Template:
    template: Template = json.loads((out / "SdOnEc2.template.json").read_text())
    return template


@pytest.fixture(scope="session")
def assembly(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("assembly")
    finished = synthesize(out)
    assert finished.returncode == 0, finished.stderr
    return out


@pytest.fixture(scope="session")
def fleet_assembly(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("fleet")
    finished = synthesize(out, **FLEET)
    assert finished.returncode == 0, finished.stderr
    return out


@pytest.fixture(scope="session")
def template(assembly: Path) -> Template:
    return read_template(assembly)


def resources(template: Template, kind: str) -> list[dict[str, Any]]:
    return [resource for resource in template["Resources"].values() if resource["Type"] == kind]


def only(template: Template, kind: str) -> dict[str, Any]:
    found = resources(template, kind)
    assert len(found) == 1, f"{len(found)} resources of type {kind}"
    return found[0]


def check_deploy(template: Template, given: Mapping[str, str]) -> None:
    """Raises `RuleError` for the first rule that a deploy with these parameters breaks."""
    defaults = {name: str(one.get("Default", "")) for name, one in template["Parameters"].items()}
    check_rules(template, {**defaults, "BootstrapVersion": "99", **given})
