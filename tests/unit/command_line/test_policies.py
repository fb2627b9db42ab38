"""The operator's policies allow what the commands call, and nothing else. What each call may reach: local_cloud."""

from __future__ import annotations

import ast
import fnmatch
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import botocore.session
import cfnlint
import pytest
from botocore import xform_name

from userdata.contract.layout import RunKeys, hold_key
from userdata.fleet.breakers import CLOSED

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs/threat-model.md"
STUDIO = ROOT / "scripts/studio"
FILES = sorted((ROOT / "docs/policies").glob("*.json"))
MANAGED_POLICY = 6144  # the most characters of one, without white space
# The services that commands ask, as boto3 calls them, and what IAM calls some of them.
SERVICES = (
    "autoscaling", "cloudformation", "cloudwatch", "ec2", "freetier", "iam", "kms", "logs", "pricing",
    "resourcegroupstaggingapi", "s3", "scheduler", "service-quotas", "sqs", "ssm", "sts",
)  # fmt: skip
IN_POLICIES = {"resourcegroupstaggingapi": "tag", "service-quotas": "servicequotas"}
# Calls whose right has another name. Who may not ask who they are is nobody.
RIGHTS = {
    "download_file": "s3:GetObject", "get_bucket_encryption": "s3:GetEncryptionConfiguration",
    "head_bucket": "s3:ListBucket", "head_object": "s3:GetObject", "list_buckets": "s3:ListAllMyBuckets",
    "list_objects_v2": "s3:ListBucket", "upload_file": "s3:PutObject", "get_caller_identity": "",
    "instance_stopped": "ec2:DescribeInstances", "instance_terminated": "ec2:DescribeInstances",
    "stack_delete_complete": "cloudformation:DescribeStacks",
    "delete_message_batch": "sqs:DeleteMessage", "send_message_batch": "sqs:SendMessage",
    "list_commands": "", "get_template": "",  # typer's, and Jinja's
}  # fmt: skip
# Needed without a call of that name: for a schedule's role; by the CDK CLI, and for a reservation's tags.
OF_A_SCHEDULE = {"iam:PassRole"}
OF_A_DEPLOY = {"sts:AssumeRole", "ec2:CreateTags"}
# By the AWS CLI, which `sd connect` becomes, and its plugin.
OF_A_SHELL = {"ssm:StartSession", "ssm:ResumeSession", "ssm:TerminateSession", "ssmmessages:OpenDataChannel"}
# What only deploys and teardowns call is in these rooms, and beside them for a larger quota and a torn down stack's
# schedules.
DEPLOYING = ("deploying", "ending/audit")
SHELL = "account/shell.py"
CALLED_BESIDE = {"servicequotas:RequestServiceQuotaIncrease", "scheduler:ListSchedules"}
# Only for a bucket of one's own, whose name and key no file can know. The page names them.
OF_A_BUCKET_OF_YOURS = {"s3:GetEncryptionConfiguration", "kms:DescribeKey"}


def rights_by_call() -> dict[str, str]:
    session = botocore.session.get_session()
    rights = {
        xform_name(operation): f"{IN_POLICIES.get(service, service)}:{operation}"
        for service in SERVICES
        for operation in session.get_service_model(service).operation_names
    }
    return {**rights, **RIGHTS}


def called(*, but_in: tuple[str, ...] = ()) -> set[str]:
    """The rights of all calls in the commands and the studio: a method's name, or that of a paginator or waiter."""
    rights, sources = rights_by_call(), ROOT / "scripts/command_line"
    left_out = [*(sources / room for room in but_in), STUDIO / "assembly.py"]  # which deploys, to the local cloud
    return {
        rights[name]
        for file in (*sources.rglob("*.py"), *STUDIO.rglob("*.py"))
        if not any(room in (file, *file.parents) for room in left_out)
        for name in _names(ast.parse(file.read_text("utf-8")))
        if rights.get(name)
    }


def _names(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            yield node.attr
        match node:
            case ast.Call(ast.Attribute(attr="get_paginator" | "get_waiter"), [ast.Constant(str(name)), *_]):
                yield name


def actions(file: Path) -> list[str]:
    statements: list[dict[str, Any]] = json.loads(file.read_text())["Statement"]
    return [
        action
        for one in statements
        for action in ([one["Action"]] if isinstance(one["Action"], str) else one["Action"])
    ]


def test_they_allow_what_is_called_and_nothing_else() -> None:
    """What daily use needs is in its file alone, because the others are given besides it."""
    daily = called(but_in=(*DEPLOYING, SHELL)) - CALLED_BESIDE - OF_A_BUCKET_OF_YOURS | OF_A_SCHEDULE
    assert set(actions(ROOT / "docs/policies/daily-use.json")) == daily
    assert set(actions(ROOT / "docs/policies/deploy.json")) == called() - daily - OF_A_BUCKET_OF_YOURS | OF_A_DEPLOY
    shell = called(but_in=DEPLOYING) - CALLED_BESIDE - OF_A_BUCKET_OF_YOURS - daily | OF_A_SHELL
    assert set(actions(ROOT / "docs/policies/shell.json")) == shell
    page = PAGE.read_text("utf-8")
    assert all(f"`{right}`" in page for right in OF_A_BUCKET_OF_YOURS)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_each_is_one_that_iam_takes(file: Path) -> None:
    known = json.loads((Path(cfnlint.__file__).parent / "data/AdditionalSpecs/Policies.json").read_text())
    for service, _, name in (action.partition(":") for action in actions(file)):
        assert name.lower() in known[service]["Actions"], f"{service}:{name}"
    assert len(json.dumps(json.loads(file.read_text()), separators=(",", ":"))) <= MANAGED_POLICY


def test_daily_use_deletes_notes_of_the_commands_and_no_image() -> None:
    statements = json.loads((ROOT / "docs/policies/daily-use.json").read_text("utf-8"))["Statement"]
    allowed = [
        resource
        for statement in statements
        if "s3:DeleteObject" in statement["Action"]
        for resource in statement["Resource"]
    ]

    def may_go(key: str) -> bool:
        return any(fnmatch.fnmatchcase(f"arn:aws:s3:::sdonec2-resultsbucket-1/{key}", one) for one in allowed)

    run = RunKeys("a-horse-0123456789")
    images = [run.image(0), run.image_metadata(0), run.grid(0)]
    told = [run.job, run.status, run.report, run.log, run.batch, run.units(0), run.unit_done(0, 0), run.machine("i-0")]
    kept = [*images, *told, "boots/i-0/a.json", "cache/a", "inputs/a"]
    assert [key for key in kept if may_go(key)] == []
    gone = (run.batch_ended, run.unit_failed(0, 0), run.unit_tries(0, 0), run.tries, hold_key("i-0"), CLOSED)
    assert [key for key in gone if not may_go(key)] == []
