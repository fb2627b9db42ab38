"""Everything of a proof is removed, in whatever state it is, and nothing else."""

from __future__ import annotations

from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from scripts.command_line.account.deployment import Deployment
from scripts.command_line.ending.audit.leftover import Leftover
from scripts.proof.account import Account, Look
from scripts.proof.place import STACK
from scripts.proof.removal import remove, what_is_there
from scripts.proof.terminal import Finished, Meter, Terminal
from tests.unit.command_line.conftest import session  # noqa: F401  # a fixture

KEY = Leftover("key pair", "SdProof", "left", 0.0, "aws ec2 delete-key-pair --key-name SdProof", STACK)


class CloudFormation:
    """Deletes as CloudFormation does: not while it updates; `failures` deletions fail."""

    region_name = "us-east-1"

    def __init__(self, states: list[str], failures: int = 0) -> None:
        self.states = states
        self.failures = failures
        self.deletions = 0

    def client(self, *_: Any, **__: Any) -> CloudFormation:
        return self

    def delete_stack(self, **asked: str) -> None:
        assert asked == {"StackName": STACK}
        state = self.states[0]
        if state.startswith("UPDATE") and state.endswith("IN_PROGRESS"):
            message = f"Stack [x] cannot be deleted while in status {state}"
            why: Any = {"Error": {"Code": "ValidationError", "Message": message}}
            raise ClientError(why, "DeleteStack")
        self.deletions += 1
        self.failures -= 1
        self.states = ["DELETE_IN_PROGRESS", "DELETE_FAILED" if self.failures >= 0 else "gone"]


class Emulated(Account):
    """An account with one stack, and what it leaves."""

    def __init__(self, cloudformation: CloudFormation) -> None:
        super().__init__(cloudformation)  # type: ignore[arg-type]
        self.cloudformation = cloudformation
        self.left = [KEY]

    def look(self) -> Look:
        states = self.cloudformation.states
        state = states.pop(0) if len(states) > 1 else states[0]
        return Look(None if state == "gone" else Deployment(STACK, state, {}, {}), {})

    def audited(self) -> list[Leftover]:
        return self.left if self.cloudformation.states == ["gone"] else []

    def buckets(self) -> list[str]:
        return ["sdproof-7c1f20-1"] if self.left else []

    def billed(self) -> list[str]:
        return []


class Typed(Terminal):
    """Takes down what is typed."""

    def __init__(self, account: Emulated) -> None:
        super().__init__(Meter({}), list, every=0)
        self.account = account
        self.words: list[list[str]] = []

    def run(self, *words: str) -> Finished:
        self.words.append(list(words))
        self.account.left = []
        return Finished("", 0, "")


@pytest.mark.parametrize(
    ("states", "failures", "deletions"),
    [
        (["CREATE_IN_PROGRESS"], 0, 1),
        ([*["UPDATE_IN_PROGRESS"] * 20, "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", "UPDATE_COMPLETE"], 0, 1),
        (["UPDATE_ROLLBACK_FAILED"], 0, 1),
        (["ROLLBACK_COMPLETE"], 1, 2),
        (["gone"], 0, 0),
    ],
)
def test_the_stack_and_then_its_bucket_go(states: list[str], failures: int, deletions: int) -> None:
    account = Emulated(CloudFormation(states, failures))
    terminal = Typed(account)
    assert what_is_there(account)
    remove(account, terminal)
    assert account.cloudformation.deletions == deletions
    assert terminal.words == [
        ["aws", "ec2", "delete-key-pair", "--key-name", "SdProof", "--region", "us-east-1"],
        ["aws", "s3", "rb", "--force", "s3://sdproof-7c1f20-1", "--region", "us-east-1"],
    ]
    assert what_is_there(account) == ""


def test_a_stack_that_cannot_be_deleted_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    account = Emulated(CloudFormation(["CREATE_COMPLETE"], failures=9))
    remove(account, Typed(account))
    assert account.cloudformation.deletions == 3
    assert what_is_there(account) == f"us-east-1 has the stack {STACK} (DELETE_FAILED)."


def test_only_the_proofs_own_things_are_found_and_each_in_its_region(session: boto3.Session) -> None:  # noqa: F811
    s3 = session.client("s3")
    here = {"project": "sd-on-ec2", "sd-on-ec2:stack": STACK}
    for name, tags, region in (
        ("sdproof-7c1f20-resultsbucket-a", here, None),
        ("sdproof-7c1f20-resultsbucket-b", here, "eu-west-1"),
        ("sdonec2-resultsbucket-a", {**here, "sd-on-ec2:stack": "SdOnEc2"}, None),
        ("sdproof-7c1f20x", {}, "eu-central-1"),
    ):
        more: Any = {"CreateBucketConfiguration": {"LocationConstraint": region}} if region else {}
        s3.create_bucket(Bucket=name, **more)
        listed: Any = [{"Key": key, "Value": value} for key, value in tags.items()]
        s3.put_bucket_tagging(Bucket=name, Tagging={"TagSet": listed})
    account = Account(session)
    assert account.buckets() == ["sdproof-7c1f20-resultsbucket-a"]
    assert account.regions() == ["us-east-1", "eu-west-1"]
    assert what_is_there(account) == "us-east-1 has the bucket sdproof-7c1f20-resultsbucket-a."


def test_the_price_of_what_runs_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    account = Emulated(CloudFormation(["CREATE_COMPLETE"]))
    monkeypatch.setattr(account, "billed", lambda: ["g4dn.xlarge"])
    assert "1 running of its instances ($0.54 an hour)" in what_is_there(account)
