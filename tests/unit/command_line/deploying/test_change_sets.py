"""A change set of a killed deploy goes with the next one, and no other does."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from scripts.command_line.deploying import change_sets
from scripts.command_line.deploying.cdk import cdk_deploy
from tests.unit.command_line.conftest import Account, refusal

LEFT, FRESH, THEIRS = "sd-00000001", "sd-00000002", "my-change-set"


def test_only_what_is_surely_nobodys_goes(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    account.deploy()
    client = account.session.client("cloudformation")
    for name in (LEFT, THEIRS):
        prepare(client, name)
    monkeypatch.setattr(change_sets, "SURELY_LEFT", timedelta(0))
    monkeypatch.setattr("scripts.command_line.deploying.cdk.cdk", lambda *_: 0)
    cdk_deploy(account.session, {}, {})
    assert names(client) == {THEIRS}

    monkeypatch.undo()
    prepare(client, FRESH)  # of a deploy that is under way
    change_sets.delete_left(account.session, "SdOnEc2")
    assert names(client) == {THEIRS, FRESH}


def test_who_may_not_look_deploys_all_the_same(account: Account) -> None:
    account.session.events.register_first("before-call.cloudformation.ListChangeSets", refusal("AccessDenied"))
    change_sets.delete_left(account.session, "SdOnEc2")


def prepare(client: Any, name: str) -> None:
    template = {"Resources": {"Other": {"Type": "AWS::SNS::Topic"}}}
    client.create_change_set(StackName="SdOnEc2", ChangeSetName=name, TemplateBody=json.dumps(template))


def names(client: Any) -> set[str]:
    return {one["ChangeSetName"] for one in client.list_change_sets(StackName="SdOnEc2")["Summaries"]}
