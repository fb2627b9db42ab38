"""A hold costs money for as long as it lasts: it is told, bounded, and can be taken away."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from scripts.command_line.account.deployment import need_deployment
from scripts.command_line.ending.hold import hold_instance, parse_length
from scripts.command_line.terminal.command_error import CommandError
from tests.unit.command_line.conftest import Account, run_of
from userdata.worker.bucket.bucket import Bucket
from userdata.worker.staying_up.idle import Holding

NOW = datetime.now(UTC)


def hold(account: Account, text: str | None, now: datetime = NOW) -> str:
    return hold_instance(account.session, need_deployment(account.session, "SdOnEc2"), text, now=now)


@pytest.mark.parametrize(("text", "minutes"), [("2h", 120), ("90m", 90), ("1h30m", 90), ("0h5m", 5), ("12h", 720)])
def test_lengths(text: str, minutes: int) -> None:
    assert parse_length(text) == timedelta(minutes=minutes)


@pytest.mark.parametrize("text", ["", "0m", "0h", "2", "-2h", "2 h", "h", "30s", "1d", "forever", "2h\n", "٢h"])
def test_what_is_no_length_is_misuse(text: str) -> None:
    with pytest.raises(CommandError, match="must be hours and minutes, for example 2h") as refusal:
        parse_length(text)
    assert refusal.value.exit_status == 2


def test_the_worker_reads_what_was_held(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    account.deploy()
    worker = Holding(Bucket(account.bucket), account.instance_id, every_seconds=0)
    assert hold(account, None) == f"{account.instance_id} is not held."
    until = f"{NOW + timedelta(hours=2):%Y-%m-%d %H:%M}"
    assert f"{account.instance_id} is held until {until} UTC" in hold(account, "2h")
    assert f"held until {until}" in hold(account, None)
    assert str(worker()).startswith(f"held until {until}")
    assert hold(account, None, NOW + timedelta(hours=2)) == f"{account.instance_id} is not held."
    assert "is not held" in hold(account, "off")
    assert worker() is None
    assert "is not held" in hold(account, "off")  # nothing to do


def test_a_hold_beyond_max_hours_is_refused(account: Account) -> None:
    account.deploy(MaxHours="3")
    with pytest.raises(CommandError, match="must not be longer than MaxHours, which is 3 here") as refusal:
        hold(account, "3h1m")
    assert refusal.value.exit_status == 2
    assert hold(account, None) == f"{account.instance_id} is not held."
    assert "is held until" in hold(account, "3h")


def test_there_is_nothing_to_hold_on_a_stopped_instance(account: Account) -> None:
    account.deploy()
    account.ec2.stop_instances(InstanceIds=[account.instance_id])
    with pytest.raises(CommandError, match="is stopped: there is nothing to hold. Start it: `sd start`"):
        hold(account, "2h")
    account.put_run(run_of(), phase="done")
    with pytest.raises(CommandError, match="is done. A deploy of another one starts it, and so does `sd generate`"):
        hold(account, "2h")


@pytest.mark.parametrize(
    ("phase", "told"),
    [
        ("done", "Run .* is done. A deploy of another one makes a new instance: `sd deploy`"),
        ("generating", "makes a new"),
    ],
)
def test_what_can_be_done_about_an_instance_that_is_gone_is_told(account: Account, phase: str, told: str) -> None:
    account.deploy()
    account.put_run(run_of(), phase=phase)
    account.ec2.terminate_instances(InstanceIds=[account.instance_id])
    with pytest.raises(CommandError, match=f"is terminated: there is nothing to hold.*{told}") as refusal:
        hold(account, "1h")
    assert "sd start" not in str(refusal.value)
