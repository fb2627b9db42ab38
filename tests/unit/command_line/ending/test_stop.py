"""`sd stop` is the command of somebody who is worried about money: it must do it, and say what goes on costing."""

from __future__ import annotations

import pytest

from scripts.command_line.account.deployment import need_deployment
from scripts.command_line.ending.stop import stop_instance
from scripts.command_line.terminal.command_error import CommandError
from tests.unit.command_line.conftest import Account


def stop(account: Account, *, terminate: bool = False) -> str:
    return stop_instance(account.session, need_deployment(account.session, "SdOnEc2"), terminate=terminate)


def test_a_running_instance_is_stopped_and_a_second_time_nothing_is_done(account: Account) -> None:
    account.deploy()
    message = stop(account)
    assert message.startswith(f"Stopped {account.instance_id}.")
    assert "Its disk goes on costing money: `sd teardown`" in message
    assert account.state() == "stopped"
    assert stop(account) == f"Nothing to do: {account.instance_id} is stopped."
    assert account.state() == "stopped"


def test_it_is_terminated_when_that_is_asked_for(account: Account) -> None:
    account.deploy()
    account.ec2.stop_instances(InstanceIds=[account.instance_id])
    assert stop(account, terminate=True).startswith(f"Terminated {account.instance_id} with its disk")
    assert account.state() == "terminated"
    assert stop(account, terminate=True) == f"Nothing to do: {account.instance_id} is terminated."
    assert stop(account) == f"Nothing to do: {account.instance_id} is terminated."


def test_a_spot_instance_is_terminated_only_when_that_was_said(account: Account) -> None:
    account.launch_spot()
    account.deploy()
    with pytest.raises(CommandError, match="is a spot instance, which cannot be stopped.*`sd stop --terminate`"):
        stop(account)
    assert account.state() == "running"
    stop(account, terminate=True)
    assert account.state() == "terminated"
