"""An instance is a machine: it boots its user data, keeps its disk, and obeys and tells EC2."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError
from moto.ec2.models import instances

from scripts.local.machines.machine import Machine
from tests.local_cloud.conftest import EC2_MAY_ASSUME, Stack, is_alive, machine_template, per_boot, until

pytestmark = pytest.mark.local_cloud

SERVICE = """
mkdir -p "$SD_PREFIX/etc/systemd/system"
cat >"$SD_PREFIX/etc/systemd/system/worker.service" <<'UNIT'
[Service]
WorkingDirectory=/var/lib
StateDirectory=worker
ExecStart=/bin/bash -c '{start}'
ExecStopPost=+/bin/bash -c 'echo $SERVICE_RESULT $EXIT_CODE $EXIT_STATUS >>$SD_PREFIX/after; {stop_post}'
SuccessExitStatus=143
UNIT
systemctl daemon-reload
systemctl restart worker && echo yes >"$SD_PREFIX/started"
"""


def service(start: str, stop_post: str = "true") -> str:
    return SERVICE.format(start=start, stop_post=stop_post)


def test_the_user_data_runs_as_an_ordinary_user_with_nothing_of_the_caller_s(stack: Stack) -> None:
    stack.create(
        machine_template('id -u >"$SD_PREFIX/uid"; env >"$SD_PREFIX/environment"; echo ready >"$SD_PREFIX/end"')
    )
    stack.until_line("end", "ready")
    assert stack.lines("uid") != ["0"]
    environment = dict(line.split("=", 1) for line in stack.lines("environment"))
    assert not {name for name in environment if "KEY" in name or "TOKEN" in name or "PROFILE" in name}
    assert environment["HOME"].startswith(str(stack.machine.disk))
    assert "PYTEST_CURRENT_TEST" not in environment


def test_no_command_that_ends_a_machine_is_the_host_s(stack: Stack) -> None:
    script = """
    command -v systemctl systemd-run shutdown poweroff reboot halt >"$SD_PREFIX/commands"
    for command in poweroff reboot halt "shutdown -r now" "systemctl halt" "systemctl enable x"; do
      $command
      echo "$?" >>"$SD_PREFIX/codes"
    done
    """
    stack.create(machine_template(script))
    codes = until(lambda: len(stack.lines("codes")) == 6 and stack.lines("codes"), "all are refused")
    assert codes == ["1"] * 6
    assert len(stack.lines("commands")) == 6
    assert all("/scripts/local/machines/bin/" in command for command in stack.lines("commands"))
    assert stack.machine.console.count("not emulated on this machine; nothing was done") == 6


def test_a_transient_timer_runs_its_command(stack: Stack) -> None:
    script = """
    arm() { systemd-run --quiet --unit=$1 --on-active=$2 --property=DefaultDependencies=no /bin/sh -c "$3"; }
    systemctl is-active --quiet later.timer || echo no >>"$SD_PREFIX/armed"
    arm later 1h true
    systemctl is-active --quiet later.timer && echo yes >>"$SD_PREFIX/armed"
    arm sd-max 1s "systemctl poweroff"
    """
    stack.create(machine_template(script))
    stack.until_line("armed", "yes")
    assert stack.lines("armed") == ["no", "yes"]
    stack.until_state("stopped")


def test_a_machine_that_cannot_start_fails_the_stack_and_says_why(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scripts.local.machines.machine.SHIMS", "/usr/games")
    assert "and not the machine's own" in stack.fail_to_create(machine_template("true"))


def test_the_role_s_credentials_come_from_the_metadata_service(stack: Stack) -> None:
    template = machine_template(
        'aws sts get-caller-identity --region us-east-1 >"$SD_PREFIX/me"', IamInstanceProfile={"Ref": "Profile"}
    )
    template["Resources"] |= {
        "Role": {"Type": "AWS::IAM::Role", "Properties": {"AssumeRolePolicyDocument": EC2_MAY_ASSUME}},
        "Profile": {"Type": "AWS::IAM::InstanceProfile", "Properties": {"Roles": [{"Ref": "Role"}]}},
    }
    stack.create(template)
    identity = json.loads("\n".join(until(lambda: stack.lines("me"), "the identity is known")))
    assert f"assumed-role/{stack.physical_id('Role')}/{stack.instance_id}" in identity["Arn"]


def test_every_boot_runs_the_script_and_the_disk_stays(stack: Stack) -> None:
    stack.create(machine_template('echo ${Prompt} >>"$SD_PREFIX/boots"'))
    stack.until_line("boots", "a")
    ec2 = stack.cloud.client("ec2")
    ec2.stop_instances(InstanceIds=[stack.instance_id])
    stack.until_state("stopped")
    assert stack.machine.pid is None
    ec2.start_instances(InstanceIds=[stack.instance_id])
    until(lambda: stack.lines("boots") == ["a", "a"], "it has booted twice")
    ec2.reboot_instances(InstanceIds=[stack.instance_id])
    until(lambda: stack.lines("boots") == ["a", "a", "a"], "it has booted three times")


def test_a_machine_that_powers_itself_off_is_a_stopped_instance(stack: Stack) -> None:
    stack.create(machine_template('echo here >"$SD_PREFIX/file"; shutdown -P now'))
    stack.until_state("stopped")
    assert stack.instance()["StateReason"]["Code"] == "Client.InstanceInitiatedShutdown"
    assert stack.lines("file") == ["here"]
    assert stack.machine.pid is None


def test_also_one_that_is_off_before_the_cloud_has_seen_it_run(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    start = Machine.start

    def start_and_be_held_up(machine: Machine) -> None:
        start(machine)
        until(lambda: stack.instance(machine.disk.name)["State"]["Name"] == "stopping", "it has ended")

    monkeypatch.setattr(Machine, "start", start_and_be_held_up)
    stack.create(machine_template("shutdown -P now"))
    assert stack.instance()["State"]["Name"] == "stopped"


def test_an_instance_that_begins_to_stop_is_not_called_stopped(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    stack.create(machine_template("true"))
    now, seen = instances.utcnow, list[str]()

    def look() -> Any:  # which moto asks once it has changed the state
        seen.append(stack.instance()["State"]["Name"])
        return now()

    monkeypatch.setattr(instances, "utcnow", look)
    stack.cloud.client("ec2").stop_instances(InstanceIds=[stack.instance_id])
    assert seen == ["stopping"]


def test_or_a_terminated_one(stack: Stack) -> None:
    stack.create(machine_template("systemctl poweroff", InstanceInitiatedShutdownBehavior="terminate"))
    instance_id, folder = stack.instance_id, stack.cloud.scratch / "machines"
    stack.until_state("terminated", instance_id)
    assert not (folder / instance_id).exists()
    assert instance_id not in stack.cloud.machines


@pytest.mark.parametrize(
    ("properties", "told"), [({}, "on-demand"), ({"InstanceMarketOptions": {"MarketType": "spot"}}, "spot")]
)
def test_an_instance_is_told_its_life_cycle(stack: Stack, properties: dict[str, Any], told: str) -> None:
    """The receipt of a run follows from it."""
    ask = (
        'endpoint=$AWS_EC2_METADATA_SERVICE_ENDPOINT; t=$(curl -sX PUT "${!endpoint}latest/api/token" '
        '-H "X-aws-ec2-metadata-token-ttl-seconds: 60"); curl -sf -H "X-aws-ec2-metadata-token: $t" '
        '"${!endpoint}latest/meta-data/instance-life-cycle" >"$SD_PREFIX/told"'
    )
    stack.create(machine_template(ask, **properties))
    assert until(lambda: stack.lines("told"), "the answer is there") == [told]


def test_a_service_that_fails_tells_its_stop_post_how(stack: Stack) -> None:
    stack.create(machine_template(service("echo $STATE_DIRECTORY; exit 3", "shutdown -P now")))
    stack.until_state("stopped")
    assert stack.lines("after") == ["exit-code exited 3"]
    assert stack.lines("var/log/units/worker.service.log") == [str(stack.machine.disk / "var/lib/worker")]


def test_stopping_the_instance_stops_its_services_which_can_tell_why(stack: Stack) -> None:
    ask = "systemctl is-system-running >>$SD_PREFIX/after"
    stack.create(machine_template("systemctl is-system-running >$SD_PREFIX/state\n" + service("exec sleep 600", ask)))
    until(lambda: stack.lines("state") == ["running"] and stack.lines("started"), "the service runs")
    stack.cloud.client("ec2").stop_instances(InstanceIds=[stack.instance_id])
    stack.until_state("stopped")
    assert stack.lines("after") == ["success killed TERM", "stopping"]


def test_a_worker_that_ends_as_it_was_asked_to_has_not_failed_and_may_have_itself_started_again(stack: Stack) -> None:
    once = "test -e $SD_PREFIX/again || systemctl start --no-block worker; touch $SD_PREFIX/again"
    stack.create(machine_template(service("exit 143", once)))
    until(lambda: stack.lines("after") == ["success exited 143"] * 2, "it was started again")


def test_restarting_a_service_stops_the_running_one_first(stack: Stack) -> None:
    script = service("echo up; exec sleep 600") + (
        'until grep -q up "$SD_PREFIX/var/log/units/worker.service.log"; do sleep 0.05; done\n'
        'systemctl restart worker; systemctl is-active worker >"$SD_PREFIX/end"'
    )
    stack.create(machine_template(script))
    stack.until_line("end", "active")
    assert stack.lines("after") == ["success killed TERM"]
    until(lambda: stack.lines("var/log/units/worker.service.log") == ["up", "up"], "it was started twice")


def test_nothing_outlives_a_terminated_machine_which_comes_back_in_no_way(stack: Stack) -> None:
    hiding = "setsid --fork bash -c 'trap : TERM; echo $BASHPID >>\"$SD_PREFIX/pids\"; while :; do sleep 0.2; done'"
    # In sessions of their own, deaf to TERM.
    stack.create(machine_template(f"trap : TERM\n{hiding}\n{hiding}\nwhile :; do sleep 0.2; done"))
    until(lambda: len(stack.lines("pids")) == 2, "both hide")
    pids = [stack.machine.pid or 0, *map(int, stack.lines("pids"))]
    instance_id, ec2 = stack.instance_id, stack.cloud.client("ec2")
    ec2.terminate_instances(InstanceIds=[instance_id])
    stack.until_state("terminated", instance_id)
    assert not [pid for pid in pids if is_alive(pid)]
    for call in (ec2.start_instances, ec2.stop_instances):
        with pytest.raises(ClientError, match="IncorrectInstanceState"):
            call(InstanceIds=[instance_id])
    stack.until_state("terminated", instance_id)


def test_changed_user_data_restarts_the_same_instance_and_nothing_else(stack: Stack) -> None:
    template = machine_template('echo "${Prompt} ${Seed}" >>"$SD_PREFIX/boots"')
    stack.create(template, Prompt="first")
    stack.until_line("boots", "first 1")
    instance_id = stack.instance_id
    stack.update(template, Prompt="second")
    stack.until_line("boots", "second 1")
    stack.update(template, previous=("Prompt",), Seed="2")
    stack.until_line("boots", "second 2")
    assert stack.instance_id == instance_id
    assert stack.lines("boots") == ["first 1", "second 1", "second 2"]
    assert stack.parameters() == {"Prompt": "second", "Seed": "2"}


def test_the_same_again_is_refused_as_no_update(stack: Stack) -> None:
    template = machine_template("true")
    stack.create(template, Prompt="x")
    pid = stack.machine.pid
    with pytest.raises(stack.client.exceptions.ClientError, match="No updates are to be performed"):
        stack.update(template, Prompt="x")
    assert stack.machine.pid == pid


def test_a_stopped_instance_stays_stopped_when_its_user_data_changes(stack: Stack) -> None:
    template = machine_template('echo ${Prompt} >>"$SD_PREFIX/boots"; shutdown -P now')
    stack.create(template)
    stack.until_state("stopped")
    stack.update(template, Prompt="b")
    assert stack.instance()["State"]["Name"] == "stopped"
    stack.cloud.client("ec2").start_instances(InstanceIds=[stack.instance_id])
    stack.until_line("boots", "b")


@pytest.mark.parametrize(
    "change",
    [{"KeyName": "other"}, {"BlockDeviceMappings": [{"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": "50"}}]}],
    ids=["KeyName", "BlockDeviceMappings"],
)
def test_a_change_that_cannot_be_made_in_place_makes_a_new_instance(stack: Stack, change: dict[str, Any]) -> None:
    template = machine_template("true")
    stack.create(template)
    first = stack.instance_id
    stack.update(machine_template("true", **change))
    assert stack.instance_id != first
    assert stack.instance(first)["State"]["Name"] == "terminated"
    assert first not in stack.cloud.machines


def test_user_data_over_the_limit_is_refused(stack: Stack) -> None:
    template = machine_template("true")
    template["Resources"]["Machine"]["Properties"]["UserData"] = {"Fn::Base64": per_boot("#" * 16384)}
    with pytest.raises(AssertionError, match="User data is limited to 16384 bytes"):
        stack.create(template)
    assert stack.describe()["StackStatus"] == "ROLLBACK_COMPLETE"
