"""When a machine powers off, and what becomes of the instance."""

from __future__ import annotations

import time
from pathlib import Path

from tests.machine.site.instance import WORKER_LOG, Instance
from tests.machine.site.outcomes import assert_done
from tests.machine.site.site import Site
from tests.machine.site.waiting import wait_for
from userdata.job.job import Job


def test_keep_leaves_the_machine_running_and_a_stop_from_outside_ends_it(site: Site) -> None:
    with site.launched({"AfterRun": "keep"}) as instance:
        instance.wait_for_line("AfterRun is keep", file=WORKER_LOG)
        queued = instance.send(Job(model="tiny", H=64, W=64, ddim_steps=2, n_iter=1, n_samples=1))
        wait_for(lambda: (instance.status(queued) or {}).get("phase") == "done", "the run of the queue")
        assert instance.state == "running"
        instance.stop()
        assert_done(instance)


def test_an_idle_machine_powers_off_after_its_idle_time(site: Site) -> None:
    with site.launched({"IdleMinutes": "1"}) as instance:
        wait_for(lambda: instance.phase == "done", "the images")
        began = time.monotonic()
        assert_worker_is_nobody_special(instance)
        assert instance.state == "running"
        assert_done(instance)
        assert time.monotonic() - began > 45


def assert_worker_is_nobody_special(instance: Instance) -> None:
    """No user of the machine, without capabilities, and with no keys but those that the metadata service gives it."""
    process = Path(f"/proc/{instance.worker()}")
    status = dict(line.split(":\t", 1) for line in (process / "status").read_text().splitlines() if ":\t" in line)
    assert int(status["Uid"].split()[0]) >= 61184  # systemd's range for dynamic users
    assert int(status["CapEff"], 16) == 0
    assert "AWS_ACCESS_KEY_ID" not in (process / "environ").read_text()
