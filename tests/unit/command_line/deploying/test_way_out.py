"""A stack that a failed operation has left behind is put right before it is deployed, and a person is told."""

from __future__ import annotations

import io
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from moto.backends import get_backend
from rich.console import Console
from typer.testing import CliRunner

from scripts.command_line.account.deployment import NOT_STANDING, TROUBLES, find_deployment
from scripts.command_line.account.plan import make_plan
from scripts.command_line.before.account_checks import check_stack
from scripts.command_line.deploying.deploy import deploy
from scripts.command_line.deploying.way_out import DELETED, ROLLED_BACK
from scripts.command_line.deploying.wish import Wish
from scripts.command_line.main import app
from scripts.command_line.terminal.command_error import CommandError
from tests.unit.command_line.conftest import REGION, Account
from tests.unit.command_line.deploying.test_capacity import BEGUN, NO_CAPACITY, event, tell


def set_state(state: str) -> None:
    (stack,) = get_backend("cloudformation")["123456789012"][REGION].stacks.values()
    stack.status = state


class Cdk:
    """Takes the place of the CDK CLI, and notes what it does and what had been told by then."""

    def __init__(self, account: Account, *, fails: int = 0, tells: bool = True) -> None:
        self.account = account
        self.fails = fails  # how many rollbacks fail
        self.tells = tells  # whether they say so
        self.console = Console(file=io.StringIO(), width=1000)
        self.done: list[tuple[str, Any]] = []

    def run(self, *context: str, **given: str) -> None:
        deploy(
            self.account.session, stack="SdOnEc2", given=given, context=context, fetch_to=None, console=self.console,
            cdk=self.deploy, rollback=self.rollback, yes=True,
        )  # fmt: skip

    @property
    def told(self) -> str:
        assert isinstance(self.console.file, io.StringIO)
        return self.console.file.getvalue()

    def deploy(self, session: boto3.Session, parameters: Mapping[str, str], context: Mapping[str, str]) -> None:
        self.done.append(("deploy", dict(parameters)))
        if find_deployment(session, "SdOnEc2") is None or "Replaces" in parameters:
            self.account.replace_instance()
        self.account.change(parameters)

    def rollback(self, session: boto3.Session, context: Mapping[str, str], *, force: bool) -> bool:
        assert "is UPDATE_" in self.told, "told before it is done"
        self.done.append(("force" if force else "rollback", dict(context)))
        if len(self.done) <= self.fails:
            return not self.tells
        set_state("UPDATE_ROLLBACK_COMPLETE")
        return True


@pytest.mark.parametrize("state", ROLLED_BACK)
def test_an_instance_that_is_gone_is_passed_over_and_replaced(account: Account, state: str) -> None:
    account.deploy(settings='{"az": "us-east-1b"}')
    gone = account.instance_id
    account.ec2.terminate_instances(InstanceIds=[gone])
    set_state(state)
    cdk = Cdk(account)
    cdk.run(Prompt="a tree")
    assert cdk.done == [("force", {"az": "us-east-1b"}), ("deploy", {"Prompt": "a tree", "Replaces": gone})]
    assert f"SdOnEc2 is {state}: its last change failed" in cdk.told
    assert f"`cdk rollback --force`: the instance {gone} is gone" in cdk.told


@pytest.mark.parametrize(
    ("fails", "done"),
    [(0, ["rollback", "deploy"]), (1, ["rollback", "force", "deploy"]), (2, ["rollback", "force"])],
    ids=["it works", "with force", "not even with force"],
)
@pytest.mark.parametrize("tells", [True, False], ids=["and it says so", "and it ends with 0"])
def test_what_can_be_changed_back_is(account: Account, fails: int, done: list[str], tells: bool) -> None:
    account.deploy()
    set_state("UPDATE_ROLLBACK_FAILED")
    cdk = Cdk(account, fails=fails, tells=tells)
    if fails < 2:
        cdk.run(Prompt="a tree")
    else:
        with pytest.raises(CommandError, match="SdOnEc2 could not be rolled back.*`sd teardown`"):
            cdk.run(Prompt="a tree")
    assert [one for one, _ in cdk.done] == done


@pytest.mark.parametrize("state", DELETED)
def test_what_does_not_stand_is_deleted_and_its_images_stay(account: Account, state: str) -> None:
    account.deploy()
    set_state(state)
    cdk = Cdk(account)
    cdk.run(Prompt="a tree")
    assert [one for one, _ in cdk.done] == ["deploy"]
    assert f"SdOnEc2 is {state}: " in cdk.told
    account.s3.head_bucket(Bucket=account.bucket)


@pytest.mark.parametrize("state", ["UPDATE_ROLLBACK_FAILED", "ROLLBACK_FAILED"])
def test_bad_input_puts_nothing_right(account: Account, state: str) -> None:
    account.deploy()
    set_state(state)
    cdk = Cdk(account)
    with pytest.raises(CommandError, match="Steps is '0'"):
        cdk.run(Steps="0")
    assert (cdk.done, cdk.told) == ([], "")
    assert find_deployment(account.session, "SdOnEc2") is not None


@pytest.mark.parametrize("state", [*TROUBLES, "UPDATE_IN_PROGRESS"])
def test_status_and_doctor_say_what_is_wrong_and_what_is_next(account: Account, state: str) -> None:
    account.deploy()
    set_state(state)
    said = CliRunner().invoke(app, ["status", "--region", REGION]).output
    check = check_stack(account.session, make_plan(None, {}, {}))
    for text in (said.replace("\n", " "), check.found):
        assert f"SdOnEc2 is {state}: " in text
        assert ("`sd deploy`" if state in TROUBLES else "`sd status`") in text
    assert check.state == "problem"
    found = find_deployment(account.session, "SdOnEc2")
    assert found
    assert found.stands == (state not in NOT_STANDING)


def test_a_stack_without_outputs_says_what_is_wrong(account: Account) -> None:
    account.session.client("cloudformation").create_stack(
        StackName="SdOnEc2", TemplateBody='{"Resources": {"Topic": {"Type": "AWS::SNS::Topic"}}}'
    )
    set_state("ROLLBACK_FAILED")
    found = find_deployment(account.session, "SdOnEc2")
    assert found
    with pytest.raises(CommandError, match="SdOnEc2 is ROLLBACK_FAILED: its creation failed.*`sd deploy`"):
        _ = found.instance_id


@pytest.mark.parametrize("state", ["CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE"])
def test_a_stack_that_stands_well_is_left_alone(account: Account, state: str) -> None:
    account.deploy()
    set_state(state)
    assert check_stack(account.session, make_plan(None, {}, {})).state == "ok"
    cdk = Cdk(account)
    cdk.run(Prompt="a tree")
    assert cdk.done == [("deploy", {"Prompt": "a tree"})]


def test_an_attempt_of_the_ladder_that_leaves_the_stack_stuck_is_put_right_before_the_next(account: Account) -> None:
    account.deploy(settings='{"spot": "true"}', AfterRun="terminate")
    cdk = Cdk(account)

    def refused_once(session: boto3.Session, parameters: Mapping[str, str], context: Mapping[str, str]) -> None:
        cdk.deploy(session, parameters, context)
        if cdk.done == [("deploy", dict(parameters))]:
            set_state("UPDATE_ROLLBACK_FAILED")
            now = {"Timestamp": datetime.now(UTC)}
            tell(session, event(1, "UPDATE_FAILED", NO_CAPACITY) | now, BEGUN | now)
            raise CommandError("`cdk deploy` failed.")

    deploy(
        account.session, stack="SdOnEc2", given={}, context=(), fetch_to=None, console=cdk.console,
        wish=Wish(("g5.xlarge", "g4dn.xlarge"), None), yes=True, cdk=refused_once, rollback=cdk.rollback,
    )  # fmt: skip
    assert [one for one, _ in cdk.done] == ["deploy", "rollback", "deploy"]


def test_without_a_stack_there_is_nothing_to_put_right(session: boto3.Session) -> None:
    assert check_stack(session, make_plan(None, {}, {})).found == "none yet"
