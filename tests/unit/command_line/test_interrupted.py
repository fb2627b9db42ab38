"""Ctrl-C at any moment: no traceback, one sentence on what goes on and what it costs, and nothing half done here."""

from __future__ import annotations

import functools
import itertools
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from scripts.command_line import main
from scripts.command_line.deploying import deploy as deploying
from scripts.command_line.results import watch
from tests.unit.command_line.conftest import Account, run_of


@pytest.fixture
def person(account: Account, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Account:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setattr("scripts.command_line.terminal.session.open_session", lambda *_: account.session)
    account.deploy(MaxHours="3", InstanceType="g6.xlarge", VolumeSize="100")
    return account


def interrupts(*_: Any, **__: Any) -> None:
    signal.raise_signal(signal.SIGINT)


def outcome(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: str, number: int = signal.SIGINT
) -> str:
    """What the interrupted command says to the person."""
    monkeypatch.setattr("sys.argv", ["sd", *words])
    with pytest.raises(SystemExit) as exited:
        main.main()
    assert exited.value.code == 128 + number
    errors = capsys.readouterr().err
    assert "Traceback" not in errors
    (told,) = [line for line in errors.splitlines() if line.startswith("sd: ")]
    return told


def at(account: Account, event: str, act: Callable[..., None] = interrupts) -> None:
    """The person presses Ctrl-C when AWS is asked that."""
    account.session.events.register_first(f"before-call.{event}", act)


@pytest.mark.parametrize(
    ("words", "event", "told"),
    [
        (["status"], "ec2.DescribeInstances", "Interrupted; nothing was changed."),
        (["results", "--list"], "s3.ListObjectsV2", "Interrupted; nothing was changed."),
        (["deploy", "a cat"], "ec2.DescribeInstances", "Interrupted before the deploy: no instance was started"),
        (["stop"], "ec2.StopInstances", "ends all the same, once AWS has heard of it: `sd status`"),
        (["hold", "1h"], "s3.PutObject", "`sd hold` shows whether the instance is held"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_command_says_what_it_was_about(
    person: Account,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    event: str,
    told: str,
) -> None:
    at(person, event)
    assert told in outcome(monkeypatch, capsys, *words)


@pytest.mark.parametrize(
    ("state", "told"),
    [
        # The instance at $0.8048, the address, and 100 GB.
        (
            "UPDATE_IN_PROGRESS",
            "the deploy of SdOnEc2 goes on in AWS, and so does its instance, for at most $0.82 an hour, until its work "
            "ends, 3 hours (MaxHours) at most. `sd status` looks, `sd teardown`",
        ),
        ("REVIEW_IN_PROGRESS", "before AWS made anything of SdOnEc2: nothing runs."),
        ("UPDATE_COMPLETE", "and SdOnEc2 is UPDATE_COMPLETE: `sd status` shows what runs in AWS"),
    ],
)
def test_a_deploy_says_whether_aws_goes_on_with_it(
    person: Account, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], state: str, told: str
) -> None:
    def deploys(session: object, parameters: Mapping[str, str], context: Mapping[str, str]) -> None:
        monkeypatch.setattr("scripts.command_line.account.goes_on._state", lambda *_: state)
        signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(deploying, "deploy", functools.partial(deploying.deploy, cdk=deploys))
    assert told in outcome(monkeypatch, capsys, "deploy", "a cat", "--yes", number=signal.SIGTERM)


def test_while_it_waits_the_run_goes_on_and_costs_until_it_is_stopped(
    person: Account, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(deploying, "deploy", functools.partial(deploying.deploy, cdk=lambda *_: None))
    monkeypatch.setattr(watch, "instance_state", interrupts)
    run = run_of()
    assert outcome(monkeypatch, capsys, "deploy", "--wait", "--region", "us-east-1") == (
        f"sd: Interrupted, but run {run} goes on in AWS, on {person.instance_id}, for at most $0.82 an hour, until its "
        "work ends, 3 hours (MaxHours) at most. `sd status --region us-east-1` looks, `sd stop --region us-east-1` "
        f"ends it, `sd results {run} --region us-east-1` fetches its images."
    )


def test_a_download_leaves_no_half_file_and_goes_on_the_next_time(
    person: Account, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    person.put_run("a-horse", images=12)  # more files than are fetched at once
    arrived: list[Path] = []
    numbers = itertools.count(1)  # two threads that appended before they counted would pass over one

    def arrives(self: Path, target: Path) -> None:
        before(self, target)
        arrived.append(target)
        if next(numbers) == 2:
            signal.raise_signal(signal.SIGINT)

    before = Path.replace
    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", arrives)
        assert "What has arrived is whole" in outcome(patch, capsys, "results")
    here = [file for file in Path("results").rglob("*") if file.is_file()]
    assert len(here) == len(arrived) < 26
    monkeypatch.setattr("sys.argv", ["sd", "results"])
    with pytest.raises(SystemExit) as exited:
        main.main()
    assert not exited.value.code
    assert capsys.readouterr().out.splitlines()[-1].startswith("12 images -> ")
    assert not list(Path("results").glob(".*"))
