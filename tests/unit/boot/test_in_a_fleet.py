"""A machine of a fleet: it never only powers off, since its group would replace it, and it stops a fleet that fails."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from functools import partial

import pytest

from stacks.fleet import OF_THE_RUN_ALONE
from tests.unit.boot.conftest import BUNDLE, Machine
from userdata.boot.after_cache import after_cache
from userdata.boot.after_worker import after_worker
from userdata.boot.machine.power_off import LEAVING_SECONDS
from userdata.boot.tell_failure import tell_failure
from userdata.boot.telling.ending import GOING_DOWN_SECONDS
from userdata.fleet import breakers, group, leave
from userdata.fleet.group import LADDER, Group

NAME = "sd-1"
OFF = "shutdown -P now"
TOPIC = "arn:aws:sns:us-east-1:123456789012:sd-1"


@pytest.fixture
def member(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """A machine of the group, whose `aws` writes down what is asked of Auto Scaling, and refuses what `refuse` says."""
    for name in OF_THE_RUN_ALONE:
        del machine.parameters[name]
    machine.parameters |= {"Fleet": "20,fallback", "Queues": NAME, "AfterRun": "terminate", "Topic": TOPIC}
    machine.command(
        "aws",
        "while [[ $1 == -* ]]; do shift 2; done\n"
        'case $1 in autoscaling | sns) ;; *) PATH=${PATH#*:} exec aws "$@" ;; esac\n'
        f'echo "${{*:2}}" >>"{machine.folder}/calls"\ngrep -qxF -- "${{*:2}}" "{machine.folder}/refuse" || exit 0\n'
        "echo 'An error occurred (ValidationError)' >&2; exit 254",
    )
    (machine.folder / "refuse").touch()
    machine.write_parameters()
    for name, value in machine.environment.items():
        monkeypatch.setenv(name, value)
    return machine


def rungs() -> list[str]:
    return [f"{' '.join(rung)} --instance-id i-0123456789abcdef0" for rung in LADDER]


def of_fleet(machine: Machine) -> dict[str, str]:
    return machine.objects("fleet/")


@pytest.mark.parametrize("refused", range(4))
def test_it_takes_the_next_rung_of_the_ladder_when_one_breaks(member: Machine, refused: int) -> None:
    (member.folder / "refuse").write_text("".join(f"{rung}\n" for rung in rungs()[:refused]))
    leave.leave(member.parameters)
    assert member.calls == rungs()[: refused + 1]


def test_a_clock_that_is_wrong_for_seconds_is_waited_out(member: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    tried = member.folder / "tried"
    wrong = "Signature expired: 20260102T030405Z is now earlier than 20260102T040405Z"
    member.command(
        "aws",
        f'echo try >>"{tried}"; if (($(wc -l <"{tried}") < 3)); then\n'
        f"  echo 'An error occurred (SignatureDoesNotMatch): {wrong}' >&2; exit 254\nfi\n"
        f'while [[ $1 == -* ]]; do shift 2; done; echo "${{*:2}}" >>"{member.folder}/calls"',
    )
    monkeypatch.setattr(group, "CLOCK_SECONDS", 0.01)
    leave.leave(member.parameters)
    assert member.calls[-1:] == rungs()[:1]
    assert tried.read_text().count("try") > 3


def test_a_group_that_does_not_answer_is_waited_for_no_longer_than_systemd_waits(
    member: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    (allowed,) = re.findall(r"(?m)^TimeoutStopSec=(\d+)$", (BUNDLE / "sd-worker.service").read_text("utf-8"))
    assert 3 * group.SECONDS < LEAVING_SECONDS < int(allowed) - GOING_DOWN_SECONDS
    member.command("aws", "exec sleep 60")
    monkeypatch.setattr(group, "SECONDS", 0.2)
    leave.leave(member.parameters, failure="it broke")
    assert member.calls == []


def test_a_machine_of_no_group_asks_for_nothing(member: Machine) -> None:
    del member.parameters["Fleet"]
    leave.leave(member.parameters, failure="it broke")
    assert (member.calls, of_fleet(member)) == ([], {})


def test_however_it_ends_it_leaves_and_then_powers_off(member: Machine) -> None:
    ended = {"SERVICE_RESULT": "success", "EXIT_CODE": "exited", "EXIT_STATUS": "0", **member.worker_environment()}
    for ends in (partial(after_worker, member.folders, ended), partial(after_cache, member.folders)):
        before = len(member.calls)
        ends()
        assert member.calls[before:][-2:] == [rungs()[0], OFF]
    assert list(of_fleet(member)) == [breakers.BOOTED]
    broke = {**ended, "SERVICE_RESULT": "exit-code", "EXIT_STATUS": "1"}
    tell_failure(member.folders, broke)
    after_worker(member.folders, broke)
    assert member.calls[-2:] == [rungs()[0], OFF]
    (failed,) = member.objects(breakers.FAILED).values()
    assert "The worker ended with 1" in json.loads(failed)["reason"]
    assert member.objects("runs/") == {}  # the deployed run is none of its


def test_the_third_failing_boot_in_a_row_closes_the_fleet(member: Machine) -> None:
    told = Group.of(member.parameters)
    assert told
    told.tell_booted()
    for _ in range(2):
        told.tell_failed("no driver")
    assert member.calls == []
    member.settings(SD_PYTHON="/no/such/python", SD_DEVICE="cpu")
    assert member.boot().returncode == 70
    closes = f"update-auto-scaling-group --auto-scaling-group-name {NAME} --min-size 0 --max-size 0"
    mailed, closed, *left = member.calls
    assert (closed, left) == (closes, [rungs()[0], OFF])
    assert mailed.startswith(f"publish --topic-arn {TOPIC} --message The fleet sd-1 has")
    assert "SD_PYTHON=/no/such/python does not run" in json.loads(of_fleet(member)[breakers.CLOSED])["reason"]
    assert member.objects("runs/") == {}
    told.tell_failed("after somebody has opened it again")
    assert len(member.calls) == 4


def test_a_fleet_that_fails_buys_no_more_machines_even_if_nothing_more_is_told(member: Machine) -> None:
    shim = member.folder / "bin/aws"
    member.command("aws", '[[ "$*" != *fleet/closed.json* ]] || exit 1\n' + shim.read_text())
    told = Group.of(member.parameters)
    assert told
    for _ in range(3):
        told.tell_failed("no driver")
    assert [call.split()[0] for call in member.calls] == ["update-auto-scaling-group"]


def test_a_boot_that_breaks_off_leaves_too(member: Machine) -> None:
    (member.folders.bundle / "userdata/boot/__main__.py").write_text("import os; os.abort()\n")
    member.boot()
    assert member.calls == [rungs()[0], OFF]
    (failed,) = of_fleet(member).values()
    assert "The boot ended unexpectedly" in json.loads(failed)["reason"]


def test_a_boot_touches_no_status_of_the_deployed_run(member: Machine) -> None:
    done = member.boot()
    assert done.returncode == 0, done.stdout
    assert member.objects("runs/") == {}
    assert (member.folders.models / "tiny/made").exists()


def test_two_spot_losses_move_the_fleet_to_on_demand_and_half_an_hour_later_it_goes_back(
    member: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def to(percent: int) -> str:
        policy = json.dumps({"InstancesDistribution": {"OnDemandPercentageAboveBaseCapacity": percent}})
        return f"update-auto-scaling-group --auto-scaling-group-name {NAME} --mixed-instances-policy {policy}"

    told = Group.of(member.parameters)
    assert told
    told.tell_lost()
    assert member.calls == []
    told.tell_lost()
    told.look_at_market()
    assert member.calls == [to(100)]
    monkeypatch.setattr(breakers, "ON_DEMAND_FOR", breakers.ON_DEMAND_FOR * 0)
    for _ in range(2):
        told.look_at_market()
    assert member.calls == [to(100), to(20)]
    without = Group.of({**member.parameters, "Fleet": "20"})
    assert without
    without.tell_lost()
    assert len(member.calls) == 2


def test_the_timer_s_process_finds_its_way_by_the_image_s_settings(member: Machine) -> None:
    """It has systemd's environment, with nothing of AWS in it."""
    member.settings(AWS_ENDPOINT_URL=os.environ["AWS_ENDPOINT_URL"], AWS_ACCESS_KEY_ID="a", AWS_SECRET_ACCESS_KEY="b")
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    member.environment |= {name: kept[name] for name in ("SD_PREFIX", "PATH")}
    member.settings(AWS_EC2_METADATA_SERVICE_ENDPOINT=os.environ["AWS_EC2_METADATA_SERVICE_ENDPOINT"])
    script = member.folder / "timer.sh"
    words = f"env -i PATH='{os.environ['PATH']}' SD_PREFIX='{member.folder}' {sys.executable} -m userdata.fleet.leave"
    script.write_text(f"cd '{member.folders.bundle}' && {words}\n")
    done = member.bash(script)
    assert (done.returncode, member.calls) == (0, rungs()[:1]), done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has rights to drop")
def test_root_reads_what_other_machines_have_told_as_nobody() -> None:
    code = (
        "import os; from userdata.contract.layout import Folders; from userdata.fleet.leave import drop_rights; "
        "drop_rights(Folders('')); print(os.getresuid(), os.getresgid(), os.getgroups())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=BUNDLE.parent, capture_output=True, text=True, check=True, timeout=20
    )
    nobody = (65534, 65534, 65534)
    assert done.stdout.strip() == f"{nobody} {nobody} []"


@pytest.mark.parametrize(
    "answer", ["[]", "no JSON", '{"Contents": 7}', '{"Contents": [{"Key": "a", "LastModified": "no"}]}']
)
def test_a_list_of_the_bucket_that_is_none_ends_nothing(member: Machine, answer: str) -> None:
    member.command("aws", f"cat >/dev/null; echo '{answer}'")
    told = Group.of(member.parameters)
    assert told
    told.tell_failed("it broke")
    told.tell_lost()
    told.look_at_market()
