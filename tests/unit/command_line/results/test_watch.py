"""Waiting must end: with the images, or with the reason why there will be none."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from rich.console import Console

from scripts.command_line.account.deployment import need_deployment
from scripts.command_line.account.instance import InstanceState, instance_state
from scripts.command_line.results import watch as watching
from scripts.command_line.results.watch import watch_run
from scripts.command_line.terminal.command_error import CommandError
from tests.unit.command_line.conftest import Account, run_of
from userdata.contract.status import Status


def watch(account: Account, *, hours: float = 1.0, out_of_reach_seconds: float = 300) -> Status:
    deployment = need_deployment(account.session, "SdOnEc2")
    console = Console(quiet=True)
    return watch_run(
        account.session,
        deployment,
        run_of(),
        console,
        every_seconds=0.01,
        hours=hours,
        out_of_reach_seconds=out_of_reach_seconds,
    )


def test_a_run_that_is_done_ends_it(account: Account) -> None:
    account.deploy()
    account.put_run(run_of(), images=2)
    assert watch(account).images_done == 2


def test_a_run_that_has_ended_at_max_spend_ends_it(account: Account) -> None:
    account.deploy()
    account.put_run(run_of(), phase="capped")
    assert watch(account).note == "MaxSpend is $2."


def test_a_spot_instance_that_was_taken_back_is_told_with_both_ways_on(account: Account) -> None:
    account.launch_spot()
    account.deploy()
    account.put_run(run_of(), phase="generating")
    account.ec2.terminate_instances(InstanceIds=[account.instance_id])
    with pytest.raises(CommandError, match="`sd deploy` makes a new one.*on demand, with -c spot=false"):
        watch(account)


def test_a_failure_is_told_with_its_step_and_log(account: Account) -> None:
    account.deploy()
    account.put_run(run_of(), phase="failed")
    with pytest.raises(CommandError, match="failed at weights: The disk is full.") as told:
        watch(account)
    assert "the log" in str(told.value)


def test_a_failure_from_before_the_start_is_no_answer(account: Account) -> None:
    account.deploy()
    account.put_run(run_of(), phase="failed")
    key = f"runs/{run_of()}/status.json"
    old = json.loads(account.s3.get_object(Bucket=account.bucket, Key=key)["Body"].read())
    old["updated_at"] = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    account.put(key, json.dumps(old).encode())
    with pytest.raises(CommandError, match="was not done after"):
        watch(account, hours=0.0001)


def test_a_boot_that_failed_before_the_run_had_a_status_is_told(account: Account) -> None:
    account.deploy()
    error = {"step": "user-data", "message": "Could not fetch the bundle.", "log_tail": "404"}
    record = {"schema": 1, "instance_id": account.instance_id, "started_at": "x", "phases": [], "error": error}
    account.put(f"boots/{account.instance_id}/2026-01-01T00:00:00Z.json", json.dumps(record).encode())
    with pytest.raises(CommandError, match="failed at user-data: Could not fetch the bundle."):
        watch(account)


def test_an_instance_that_stopped_without_a_word_is_told_with_the_way_on(account: Account) -> None:
    account.deploy()
    account.put_run(run_of(), phase="generating")
    account.ec2.stop_instances(InstanceIds=[account.instance_id])
    with pytest.raises(CommandError, match="is stopped, but run .* is not done. Start it again: `sd start`"):
        watch(account)


def fail(account: Account, error: Exception, *, looks: int) -> None:
    """So many looks at the instance end with `error`."""
    errors = iter([error] * looks)

    def look(**_: object) -> None:
        for one in errors:
            raise one

    account.session.events.register_first("before-call.ec2.DescribeInstances", look)


def busy(code: str, **metadata: object) -> ClientError:
    return ClientError({"Error": {"Code": code}, "ResponseMetadata": metadata}, "DescribeInstances")  # type: ignore[typeddict-item]


@pytest.mark.parametrize(
    "error",
    [EndpointConnectionError(endpoint_url="https://ec2.invalid"), busy("Unavailable", MaxAttemptsReached=True)],
)
def test_a_network_that_comes_back_ends_nothing(account: Account, error: Exception) -> None:
    account.deploy()
    account.put_run(run_of(), images=2)
    fail(account, error, looks=3)
    assert watch(account).images_done == 2


@pytest.mark.parametrize(
    ("error", "told", "seconds"),
    [
        (EndpointConnectionError(endpoint_url="https://ec2.invalid"), "Could not connect", 0.05),
        (busy("ExpiredToken"), "ExpiredToken", 300),
    ],
    ids=["away for too long", "will not pass"],
)
def test_what_does_not_come_back_is_told(account: Account, error: Exception, told: str, seconds: float) -> None:
    account.deploy()
    fail(account, error, looks=10_000)
    with pytest.raises(CommandError, match=told):
        watch(account, hours=0.005, out_of_reach_seconds=seconds)


@pytest.mark.parametrize("state", ["stopped", "started again"])
def test_an_instance_that_another_command_gave_another_run_is_told_with_that_run(
    account: Account, monkeypatch: pytest.MonkeyPatch, state: str
) -> None:
    """And not with `sd start`, which would start the other run."""
    account.deploy()
    account.put_run(run_of(), phase="generating")
    first = instance_state(account.session, need_deployment(account.session, "SdOnEc2"))
    assert first.launched_at
    later = InstanceState("stopped" if state == "stopped" else "running", first.launched_at + timedelta(minutes=5))
    looks = iter([first, later])

    def deployed_meanwhile(*of: Any) -> InstanceState:
        found = next(looks)
        if found is later:
            account.change({"Prompt": "a dog"})
        return found

    monkeypatch.setattr(watching, "instance_state", deployed_meanwhile)
    with pytest.raises(CommandError) as told:
        watch(account)
    other = run_of(Prompt="a dog")
    assert f"Another command has deployed run {other} into SdOnEc2, so run {run_of()} was interrupted" in str(
        told.value
    )
    assert "sd start" not in str(told.value)


def test_a_stack_that_another_command_deleted_is_told(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    account.deploy()
    account.put_run(run_of(), phase="generating")
    deployment = need_deployment(account.session, "SdOnEc2")
    monkeypatch.setattr("tests.unit.command_line.results.test_watch.need_deployment", lambda *_: deployment)
    account.ec2.terminate_instances(InstanceIds=[account.instance_id])
    account.session.client("cloudformation").delete_stack(StackName="SdOnEc2")
    with pytest.raises(CommandError, match="Another command has deleted the stack SdOnEc2, so run .* was interrupted"):
        watch(account)
