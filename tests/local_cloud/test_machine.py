"""An instance is a machine: it boots its user data, keeps its disk, and obeys and tells EC2."""

from __future__ import annotations

import json
from typing import Any

import pytest

from scripts.local.aws.permissions import permissions_enforced
from scripts.local.local_cloud import LocalCloud
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
UNIT
systemctl daemon-reload
systemctl restart worker
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
    stack.create(
        machine_template('command -v systemctl systemd-run shutdown poweroff reboot halt >"$SD_PREFIX/commands"')
    )
    commands = until(lambda: stack.lines("commands"), "the commands are listed")
    assert len(commands) == 6
    assert all("/scripts/local/machines/bin/" in command for command in commands)


def test_a_transient_timer_runs_its_command(stack: Stack) -> None:
    script = """
    systemctl is-active --quiet sd-max.timer || echo no >>"$SD_PREFIX/armed"
    systemd-run --quiet --unit=sd-max --on-active=1s --property=DefaultDependencies=no /bin/sh -c "systemctl poweroff"
    systemctl is-active --quiet sd-max.timer && echo yes >>"$SD_PREFIX/armed"
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


def test_permissions_are_enforced_when_asked_for(cloud: LocalCloud, stack: Stack) -> None:
    template = machine_template(
        'region=us-east-1; aws s3 ls --region $region; echo "s3 $?" >>"$SD_PREFIX/codes"; '
        'aws ec2 describe-vpcs --region $region; echo "ec2 $?" >>"$SD_PREFIX/codes"',
        IamInstanceProfile={"Ref": "Profile"},
    )
    allowed = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "ec2:*", "Resource": "*"}]}
    role = {
        "AssumeRolePolicyDocument": EC2_MAY_ASSUME,
        "Policies": [{"PolicyName": "ec2", "PolicyDocument": allowed}],
    }
    template["Resources"] |= {
        "Role": {"Type": "AWS::IAM::Role", "Properties": role},
        "Profile": {"Type": "AWS::IAM::InstanceProfile", "Properties": {"Roles": [{"Ref": "Role"}]}},
    }
    with permissions_enforced():
        stack.create(template)
        until(lambda: len(stack.lines("codes")) == 2, "both calls ended")
    s3, ec2 = stack.lines("codes")
    assert s3 != "s3 0"
    assert "AccessDenied" in stack.machine.console
    assert ec2 == "ec2 0"


def test_without_a_profile_there_are_no_credentials(stack: Stack) -> None:
    stack.create(machine_template('aws sts get-caller-identity --region us-east-1; echo "$?" >"$SD_PREFIX/code"'))
    assert until(lambda: stack.lines("code"), "the call ended") != ["0"]


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


def test_a_bare_script_runs_once(cloud: LocalCloud) -> None:
    ec2 = cloud.client("ec2")
    script = '#!/bin/bash\necho once >>"$SD_PREFIX/boots"\n'
    launched = ec2.run_instances(ImageId="ami-12c6146b", MinCount=1, MaxCount=1, UserData=script)
    instance_id = launched["Instances"][0]["InstanceId"]
    boots = cloud.machines[instance_id].disk / "boots"
    until(boots.exists, "the first boot")
    log = cloud.machines[instance_id].disk / "var/log/init.log"
    ec2.reboot_instances(InstanceIds=[instance_id])
    until(lambda: "has run on" in log.read_text(), "the second boot")
    assert boots.read_text() == "once\n"
    ec2.terminate_instances(InstanceIds=[instance_id])


def test_a_machine_that_powers_itself_off_is_a_stopped_instance(stack: Stack) -> None:
    stack.create(machine_template('echo here >"$SD_PREFIX/file"; shutdown -P now'))
    stack.until_state("stopped")
    assert stack.instance()["StateReason"]["Code"] == "Client.InstanceInitiatedShutdown"
    assert stack.lines("file") == ["here"]
    assert stack.machine.pid is None


def test_or_a_terminated_one(stack: Stack) -> None:
    stack.create(machine_template("poweroff", InstanceInitiatedShutdownBehavior="terminate"))
    instance_id, folder = stack.instance_id, stack.cloud.scratch / "machines"
    stack.until_state("terminated", instance_id)
    assert not (folder / instance_id).exists()
    assert instance_id not in stack.cloud.machines


def test_a_planned_shutdown_can_be_cancelled_and_planned_anew(stack: Stack) -> None:
    script = 'shutdown -P +60; shutdown -c; shutdown -P +60; echo planned >"$SD_PREFIX/state"'
    stack.create(machine_template(script))
    stack.until_line("state", "planned")
    log = "\n".join(stack.lines("var/log/init.log"))
    assert log.count("power-off in 3600 s") == 2
    assert log.count("is cancelled") == 1
    assert stack.instance()["State"]["Name"] == "running"


def test_a_service_that_fails_tells_its_stop_post_how(stack: Stack) -> None:
    stack.create(machine_template(service("echo $STATE_DIRECTORY; exit 3", "shutdown -P now")))
    stack.until_state("stopped")
    assert stack.lines("after") == ["exit-code exited 3"]
    assert stack.lines("var/log/units/worker.service.log") == [str(stack.machine.disk / "var/lib/worker")]


def test_a_service_that_is_killed_tells_so(stack: Stack) -> None:
    stack.create(machine_template(service("kill -KILL $BASHPID")))
    stack.until_line("after", "signal killed KILL")


def test_stopping_the_instance_stops_its_services_as_systemd_does(stack: Stack) -> None:
    stack.create(machine_template(service("echo up >/proc/self/fd/1; exec sleep 600")))
    stack.until_line("var/log/units/worker.service.log", "up")
    stack.cloud.client("ec2").stop_instances(InstanceIds=[stack.instance_id])
    stack.until_state("stopped")
    assert stack.lines("after") == ["success killed TERM"]


def test_restarting_a_service_stops_the_running_one_first(stack: Stack) -> None:
    script = (
        service("echo up; exec sleep 600") + 'systemctl restart worker; systemctl is-active worker >"$SD_PREFIX/end"'
    )
    stack.create(machine_template(script))
    stack.until_line("end", "active")
    assert stack.lines("after") == ["success killed TERM"]
    until(lambda: stack.lines("var/log/units/worker.service.log") == ["up", "up"], "it was started twice")


def test_a_service_that_cannot_start_is_an_error(stack: Stack) -> None:
    stack.create(machine_template('systemctl start gone; echo "$?" >"$SD_PREFIX/code"'))
    assert until(lambda: stack.lines("code"), "systemctl ended") == ["5"]


def test_nothing_outlives_a_terminated_machine(stack: Stack) -> None:
    hiding = "setsid --fork bash -c 'trap : TERM; echo $BASHPID >>\"$SD_PREFIX/pids\"; while :; do sleep 0.2; done'"
    # In sessions of their own, deaf to TERM.
    stack.create(machine_template(f"trap : TERM\n{hiding}\n{hiding}\nwhile :; do sleep 0.2; done"))
    until(lambda: len(stack.lines("pids")) == 2, "both hide")
    pids = [stack.machine.pid or 0, *map(int, stack.lines("pids"))]
    instance_id = stack.instance_id
    stack.cloud.client("ec2").terminate_instances(InstanceIds=[instance_id])
    stack.until_state("terminated", instance_id)
    assert not [pid for pid in pids if is_alive(pid)]


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


def test_the_notice_of_a_spot_interruption(stack: Stack) -> None:
    ask = (
        'endpoint=$AWS_EC2_METADATA_SERVICE_ENDPOINT; t=$(curl -sX PUT "${!endpoint}latest/api/token" '
        '-H "X-aws-ec2-metadata-token-ttl-seconds: 60"); until curl -sf -H "X-aws-ec2-metadata-token: $t" '
        '"${!endpoint}latest/meta-data/spot/instance-action" >"$SD_PREFIX/notice"; do sleep 0.1; done'
    )
    stack.create(machine_template(ask))
    stack.cloud.machines.announce_spot_interruption(stack.instance_id, "terminate", "2026-01-02T03:04:05Z")
    notice = until(lambda: stack.lines("notice"), "the notice is read")
    assert json.loads(notice[0]) == {"action": "terminate", "time": "2026-01-02T03:04:05Z"}


def test_user_data_over_the_limit_is_refused(stack: Stack) -> None:
    template = machine_template("true")
    template["Resources"]["Machine"]["Properties"]["UserData"] = {"Fn::Base64": per_boot("#" * 16384)}
    with pytest.raises(AssertionError, match="User data is limited to 16384 bytes"):
        stack.create(template)
    assert stack.describe()["StackStatus"] == "ROLLBACK_COMPLETE"
