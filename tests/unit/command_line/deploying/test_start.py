"""`sd start` starts what has work to do, and nothing else: a started instance costs money."""

from __future__ import annotations

import pytest

from scripts.command_line.account.deployment import need_deployment
from scripts.command_line.account.instance import deployed_run_id, start_for_job
from scripts.command_line.terminal.command_error import CommandError
from tests.unit.command_line.conftest import Account, run_of


def start(account: Account) -> tuple[bool, str]:
    deployment = need_deployment(account.session, "SdOnEc2")
    outcome = start_for_job(account.session, deployment, deployed_run_id(deployment))
    return outcome.started, outcome.message


def test_a_stopped_instance_with_an_unfinished_job_is_started(account: Account) -> None:
    account.deploy(Prompt="a horse")
    account.put_run(run_of(Prompt="a horse"), phase="generating")
    account.ec2.stop_instances(InstanceIds=[account.instance_id])
    started, message = start(account)
    assert started
    assert account.state() == "running"
    assert run_of(Prompt="a horse") in message


def test_a_job_that_is_done_starts_nothing(account: Account) -> None:
    account.deploy(Prompt="a horse")
    account.put_run(run_of(Prompt="a horse"), phase="done")
    account.ec2.stop_instances(InstanceIds=[account.instance_id])
    started, message = start(account)
    assert not started
    assert account.state() == "stopped"
    assert message.startswith("Nothing to do: run a-horse-")


@pytest.mark.parametrize("phase", ["done", "capped"])
def test_runs_that_wait_in_the_queue_are_work_too(account: Account, phase: str) -> None:
    """As after a refusal for lack of capacity, and after a stop in the middle of one."""
    sqs = account.session.client("sqs")
    account.outputs = {
        name: sqs.create_queue(QueueName=name)["QueueUrl"] for name in ("InteractiveQueue", "BatchQueue")
    }
    account.deploy(Prompt="a horse", MaxSpend="2")
    account.put_run(run_of(Prompt="a horse"), phase=phase)
    account.ec2.stop_instances(InstanceIds=[account.instance_id])
    assert not start(account)[0]
    sqs.send_message(QueueUrl=account.outputs["BatchQueue"], MessageBody="one")
    sqs.send_message(QueueUrl=account.outputs["InteractiveQueue"], MessageBody="another")
    sqs.receive_message(QueueUrl=account.outputs["InteractiveQueue"])  # by a worker that was stopped since
    started, message = start(account)
    assert (started, account.state()) == (True, "running")
    assert message == f"Started {account.instance_id} for 2 runs or units in the queue; see `sd status`."


def test_a_job_that_failed_or_never_began_is_tried_again(account: Account) -> None:
    account.deploy()
    account.put_run(run_of(), phase="failed")
    account.put_run("another-run", phase="done")
    account.ec2.stop_instances(InstanceIds=[account.instance_id])
    assert start(account)[0]


@pytest.mark.parametrize(("max_spend", "started"), [("2", False), ("1.5", False), ("2.5", True), ("0", True)])
def test_a_run_that_ended_at_max_spend_goes_on_only_when_that_was_raised(
    account: Account, max_spend: str, started: bool
) -> None:
    account.deploy(MaxSpend=max_spend)
    account.put_run(run_of(), phase="capped")
    account.ec2.stop_instances(InstanceIds=[account.instance_id])
    outcome = start(account)
    assert outcome[0] is started
    assert started or "has ended at MaxSpend. To go on, raise it: `sd deploy --max-spend" in outcome[1]


def test_a_running_instance_is_left_alone(account: Account) -> None:
    account.deploy()
    started, message = start(account)
    assert not started
    assert "is running already" in message


def test_a_terminated_instance_is_named_with_the_way_out(account: Account) -> None:
    account.deploy()
    account.ec2.terminate_instances(InstanceIds=[account.instance_id])
    with pytest.raises(CommandError, match="was terminated.*`sd deploy` makes a new one.*Replaces=i-"):
        start(account)


def test_no_stack_is_a_sentence_with_the_command_that_makes_one(account: Account) -> None:
    with pytest.raises(CommandError, match="There is no stack SdOnEc2 in us-east-1. Deploy it: `cdk deploy"):
        start(account)
