"""The real CDK CLI, on an app of our own that is small."""

from __future__ import annotations

import base64
import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from scripts.local.local_cloud import LocalCloud
from tests import terminal
from tests.local_cloud.conftest import Stack, until

pytestmark = pytest.mark.local_cloud

APP = """
import aws_cdk as cdk
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_s3 as s3

app = cdk.App()
stack = cdk.Stack(app, "Small")
prompt = cdk.CfnParameter(
    stack, "Prompt", max_length=1000, allowed_pattern=r"[\\s\\S]*\\S[\\s\\S]*", constraint_description="not blank"
)
seed = cdk.CfnParameter(stack, "Seed", type="Number", default=42, min_value=0)
bucket = s3.Bucket(stack, "Bucket", enforce_ssl=True, block_public_access=s3.BlockPublicAccess.BLOCK_ALL)
head = "MIME-Version: 1.0\\nContent-Type: text/x-shellscript-per-boot\\n\\n#!/bin/bash\\n"
lines = [
    head, "echo ", cdk.Fn.base64(prompt.value_as_string), " ", cdk.Fn.base64(seed.value_as_string),
    ' >>"$SD_PREFIX/boots"\\n',
]
user_data = cdk.Fn.base64(cdk.Fn.join("", lines))
machine = ec2.CfnInstance(
    stack, "Machine", image_id="ami-12c6146b", instance_type="g5.xlarge", user_data=user_data
)
cdk.CfnOutput(stack, "InstanceId", value=machine.ref)
app.synth()
"""

HOSTILE = (
    "--first=1 key=value a:b:c 'single' \"double\" $(id) `id` ${HOME} %s \\n \\ ; rm -rf / # {{resolve:ssm:/x}}\n"
    "second line\tand a tab\nthird 😀 é 漢 " + "x" * 1000
)[:1000]


class App:
    def __init__(self, cloud: LocalCloud, folder: Path) -> None:
        self.cloud = cloud
        self.folder = folder
        (folder / "app.py").write_text(APP)
        self.stack = Stack(cloud)
        self.stack.name = "Small"

    def cdk(self, *words: str) -> tuple[int, str]:
        settings = ("--app", f"{sys.executable} app.py", "--output", str(self.folder / "cdk.out"))
        done = terminal.run(self.cloud, "cdk", *words, *settings, folder=self.folder)
        return done.returncode, done.stdout

    def deploy(self, **parameters: str) -> tuple[int, str]:
        given = [word for name, value in parameters.items() for word in ("--parameters", f"{name}={value}")]
        return self.cdk("deploy", "--require-approval", "never", *given)

    def boots(self) -> list[list[str]]:
        return [line.split() for line in self.stack.lines("boots")]


def test_the_whole_life_of_a_stack(cloud: LocalCloud, tmp_path: Path) -> None:
    def encoded(text: str) -> str:
        return base64.b64encode(text.encode()).decode()

    cloud.bootstrap()
    app = App(cloud, tmp_path)

    code, said = app.deploy(Prompt=" \n ")
    assert code != 0
    assert "Parameter Prompt failed to satisfy constraint: not blank" in said
    assert app.cdk("deploy", "--require-approval", "never")[0] != 0, "a parameter without a value"

    code, said = app.deploy(Prompt=HOSTILE)
    assert code == 0, said
    until(lambda: app.boots() == [[encoded(HOSTILE), encoded("42")]], "the first boot")
    assert app.stack.parameters()["Prompt"] == re.sub(r"[😀é漢]", "?", HOSTILE), "as CloudFormation answers"
    first = app.stack.instance_id

    code, said = app.deploy(Seed="7")
    assert code == 0, said
    until(lambda: app.boots()[1:] == [[encoded(HOSTILE), encoded("7")]], "the prompt stays, the seed changes")
    assert app.stack.instance_id == first

    pid = app.stack.machine.pid
    code, said = app.deploy()
    assert code == 0, said
    assert "no changes" in said
    assert app.stack.machine.pid == pid
    assert app.cdk("diff")[1].count("There were no differences") == 1

    code, said = app.deploy(Seed="-1")
    assert code != 0
    assert "Parameter 'Seed' must be a number not less than 0" in said
    assert app.stack.parameters()["Seed"] == "7"

    [logical_id] = logical_ids(app, "AWS::S3::Bucket")
    bucket = app.stack.physical_id(logical_id)
    cloud.client("s3").put_object(Bucket=bucket, Key="image.png", Body=b"png")
    code, said = app.cdk("destroy", "--force")
    assert code == 0, said
    assert app.stack.instance(first)["State"]["Name"] == "terminated"
    assert first not in cloud.machines
    assert cloud.client("s3").get_object(Bucket=bucket, Key="image.png")["Body"].read() == b"png"


def logical_ids(app: App, kind: str) -> list[str]:
    template: dict[str, Any] = json.loads((app.folder / "cdk.out/Small.template.json").read_text())
    return [name for name, resource in template["Resources"].items() if resource["Type"] == kind]
