"""When a machine powers off, and what becomes of the instance."""

from __future__ import annotations

import subprocess
from datetime import datetime, timedelta
from pathlib import Path

from tests.machine.booted.booted_machine import BootedMachine
from tests.machine.site.bundles import facts_to_the_last, instead_of_the_bundle
from tests.machine.site.instance import WORKER_LOG, Instance
from tests.machine.site.outcomes import assert_done
from tests.machine.site.site import Site
from tests.machine.site.waiting import wait_for
from userdata.job.job import Job


def test_keep_leaves_the_machine_running_and_a_stop_from_outside_ends_it(site: Site) -> None:
    def spoil(machine: BootedMachine) -> None:
        machine.to_aws.fault = instead_of_the_bundle(facts_to_the_last())

    with site.launched({"AfterRun": "keep"}, prepare=spoil) as instance:
        instance.wait_for_line("AfterRun is keep", file=WORKER_LOG)
        # Other files are looked for than the deployed run's, so that the worker provides them in its own folder.
        queued = instance.send(Job(model="tiny", H=64, W=64, ddim_steps=2, n_iter=1, n_samples=1, safety_checker="off"))
        wait_for(lambda: (instance.status(queued) or {}).get("phase") == "done", "the run of the queue")
        assert instance.machine.disk.inside("/var/lib/private/sd-worker/models/tiny/model_index.json").exists()
        assert_worker_is_nobody_special(instance)
        assert_what_draws_has_no_network_and_no_credentials(instance)
        (key,) = wait_for(lambda: facts_of(instance), "the facts of the machine")
        facts = instance.read(key)
        assert "$ systemd-analyze\n" in facts
        assert "$ cloud-init --version\n" in facts
        assert instance.state == "running"
        instance.stop()
        assert_done(instance)


def facts_of(instance: Instance) -> list[str]:
    return [key for key in instance.objects("boots/") if key.endswith(".facts.txt")]


def test_an_idle_machine_powers_off_after_its_idle_time(site: Site) -> None:
    with site.launched({"IdleMinutes": "1"}) as instance:
        assert_done(instance)
        idle = said_at(instance, "the worker has finished: powering off") - said_at(instance, "Idle for 1 minutes")
        assert idle >= timedelta(minutes=1)


def said_at(instance: Instance, text: str) -> datetime:
    """When the worker's log said so, by the machine's clock."""
    (line,) = [line for line in instance.machine.read(WORKER_LOG).splitlines() if text in line]
    return datetime.fromisoformat(line.split()[0])


def assert_worker_is_nobody_special(instance: Instance) -> None:
    """No user of the machine, without capabilities, and with no keys but those that the metadata service gives it."""
    worker = instance.worker()
    assert_dynamic_user_without_capabilities(worker)
    assert "AWS_ACCESS_KEY_ID" not in Path(f"/proc/{worker}/environ").read_text()
    assert "libtorch" not in Path(f"/proc/{worker}/maps").read_text()


def assert_what_draws_has_no_network_and_no_credentials(instance: Instance) -> None:
    """What the process can do is tried out in its namespaces and as its user; the worker shows that it is possible."""
    worker, drawing = instance.worker(), instance.process_of("userdata.worker.draw")
    assert_dynamic_user_without_capabilities(drawing)
    assert "libtorch" in Path(f"/proc/{drawing}/maps").read_text()
    variables = Path(f"/proc/{drawing}/environ").read_text().split("\0")
    assert [one for one in variables if one.startswith(("AWS_", "PIP_"))] == []
    assert any(one.startswith("AWS_") for one in Path(f"/proc/{worker}/environ").read_text().split("\0"))

    assert tried(worker, REACH_METADATA) == "done"
    assert tried(drawing, REACH_METADATA) == "OSError: [Errno 101] Network is unreachable"
    memory = f"open('/proc/{pid_inside(worker)}/environ').read()"
    assert tried(worker, memory) == "done"
    assert "Error" in tried(drawing, memory)
    for settings in ("/var/lib/sd-on-ec2/worker.env", "/etc/sd-on-ec2/machine.env"):
        assert tried(worker, f"open({settings!r}).read()") == "done"
        assert tried(drawing, f"open({settings!r}).read()").startswith("PermissionError")
    assert tried(worker, "open('/var/lib/sd-worker/tried', 'w')") == "done"
    assert "Read-only file system" in tried(drawing, "open('/var/lib/sd-worker/tried', 'w')")


REACH_METADATA = "import socket; socket.create_connection(('169.254.169.254', 80), timeout=5)"


def tried(pid: int, code: str) -> str:
    """How Python code ends that is run where the process is, and as its user: `done`, or its error."""
    uid = status_of(pid)["Uid"].split()[0]
    entered = ["nsenter", "--target", str(pid), "--all", "--setuid", uid, "--setgid", uid]
    done = subprocess.run([*entered, "python3", "-c", code], capture_output=True, text=True, check=False)
    return done.stderr.strip().splitlines()[-1] if done.returncode else "done"


def pid_inside(pid: int) -> str:
    """The number of a process in its own machine."""
    return status_of(pid)["NSpid"].split()[-1]


def status_of(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return dict(line.split(":\t", 1) for line in lines if ":\t" in line)


def assert_dynamic_user_without_capabilities(pid: int) -> None:
    status = status_of(pid)
    assert int(status["Uid"].split()[0]) >= 61184  # systemd's range for dynamic users
    assert int(status["CapEff"], 16) == int(status["CapBnd"], 16) == 0
    assert status["NoNewPrivs"].strip() == "1"
    assert status["Seccomp"].strip() == "2"  # its calls are filtered
    assert Path(f"/proc/{pid}/ns/user").stat().st_ino != Path("/proc/self/ns/user").stat().st_ino
