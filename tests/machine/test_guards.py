"""Each of the three guards ends a machine alone, while the other two are off, that hangs in a way of its own."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.machine.booted.booted_machine import BootedMachine
from tests.machine.site.bundles import instead_of_the_bundle
from tests.machine.site.instance import WORKER_LOG, Instance
from tests.machine.site.outcomes import assert_done
from tests.machine.site.site import Site
from tests.machine.site.waiting import wait_for
from userdata.contract.hold import Hold
from userdata.contract.layout import hold_key

SESSION = "sshd: me@pts/0"
POWER = ("poweroff", "halt", "reboot", "shutdown")


def test_the_worker_s_idle_stop_waits_for_a_session_and_a_hold_and_for_nothing_else(site: Site) -> None:
    def spoil(machine: BootedMachine) -> None:
        without_timer(machine)
        unit = f"[Service]\nExecStart=/bin/bash -c 'exec -a \"{SESSION}\" sleep infinity'\n"
        machine.disk.write("/etc/systemd/system/session.service", unit)
        wanted = machine.disk.inside("/etc/systemd/system/multi-user.target.wants")
        wanted.mkdir(parents=True, exist_ok=True)
        (wanted / "session.service").symlink_to("../session.service")

    with site.launched(prepare=spoil) as instance:
        instance.wait_for_line(f"In use: an open session ({SESSION})", file=WORKER_LOG)
        hold = Hold(instance.id, datetime.now(UTC) + timedelta(hours=1))
        instance.put(hold_key(instance.id), hold.to_json())
        os.kill(session_of(instance), signal.SIGKILL)
        instance.wait_for_line("In use: held until ", file=WORKER_LOG)
        assert instance.state == "running"
        instance.s3.delete_object(Bucket=instance.bucket, Key=hold_key(instance.id))
        assert_done(instance)


def test_the_timer_in_the_guest_ends_a_machine_that_works_and_keeps_what_it_has(site: Site) -> None:
    with site.launched({"MaxHours": "1", "Iterations": "1000", "Steps": "10"}) as instance:
        instance.wait_for_line("1 of 1000 images are drawn", file=WORKER_LOG)
        pass_max_hours(instance.machine)
        instance.wait_for_state("stopped")
        status = instance.status()
        assert status is not None
        assert (status["phase"], status["error"]) == ("generating", None)
        assert status["images_done"] == len(instance.images()) < 1000


def test_the_timer_in_the_guest_ends_a_machine_whose_worker_is_stuck(site: Site) -> None:
    def spoil(machine: BootedMachine) -> None:
        machine.to_aws.fault = instead_of_the_bundle({"worker.sh": "#!/bin/bash\necho stuck\nkill -STOP $$\n"})

    with site.launched({"MaxHours": "1"}, prepare=spoil) as instance:
        instance.wait_for_line("stuck", file=WORKER_LOG)
        pass_max_hours(instance.machine)
        instance.wait_for_state("stopped")
        assert instance.machine.read(WORKER_LOG).startswith("stuck\n")
        assert instance.images() == {}


def test_the_alarm_outside_ends_a_machine_that_hangs_before_its_worker_and_is_deaf(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    def spoil(machine: BootedMachine) -> None:
        without_timer(machine)
        for name in POWER:
            machine.disk.inside(f"/etc/systemd/system/{name}.target").symlink_to("/dev/null")
        machine.disk.write("/usr/local/sbin/aws", "#!/bin/sh\necho the bundle hangs\nsleep infinity\n", mode=0o755)

    monkeypatch.setattr("scripts.local.machines.machines.STOP_DEADLINE", 5.0)  # that EC2 waits before it cuts the power
    with site.launched({"MaxHours": "1"}, prepare=spoil) as instance:
        wait_for(lambda: any(b"aws" in command for command in commands(instance)), "the user data to hang")
        site.cloud.clock.pass_time(minutes=50)
        assert instance.state == "running"
        site.cloud.clock.pass_time(minutes=20)
        instance.wait_for_state("stopped")
        assert instance.objects() == {}


def without_timer(machine: BootedMachine) -> None:
    """The user data believes to arm a timer, and there is none."""
    machine.disk.write("/usr/local/sbin/systemd-run", "#!/bin/sh\n", mode=0o755)


def pass_max_hours(machine: BootedMachine) -> None:
    """Begins what the timer begins after an hour, once it is seen to wait for that."""
    timer = "sd-max-hours.timer"
    told = inside(machine, "systemctl", "show", "--property=ActiveState,Unit,TimersMonotonic", timer)
    assert "ActiveState=active\n" in told
    assert "{ OnActiveUSec=1h ;" in told
    (unit,) = re.findall("^Unit=(.+)$", told, re.MULTILINE)
    inside(machine, "systemctl", "start", "--no-block", unit)


def inside(machine: BootedMachine, *command: str) -> str:
    """What a command says that root runs on the machine."""
    entered = ["nsenter", "--target", str(machine.pid), "--all", *command]
    return subprocess.run(entered, capture_output=True, text=True, check=True).stdout


def session_of(instance: Instance) -> int:
    (found,) = [pid for pid in instance.machine.processes() if command_of(pid).startswith(SESSION.encode())]
    return found


def commands(instance: Instance) -> list[bytes]:
    return [command_of(pid) for pid in instance.machine.processes()]


def command_of(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""  # it has just ended
