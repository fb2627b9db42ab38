"""Machines of a fleet: each ends itself and is not replaced, and a fleet that fails buys no more machines."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from tests.machine.booted.booted_machine import BootedMachine
from tests.machine.site.fleet import MOST, Fleet
from tests.machine.site.site import Site
from tests.machine.site.waiting import wait_for
from tests.machine.test_guards import POWER, command_of, pass_max_hours, without_timer


@pytest.fixture(scope="module")
def fleet(site: Site) -> Iterator[Fleet]:
    with site.fleet() as deployed:
        yield deployed


def test_a_machine_ends_itself_and_one_that_only_powers_off_is_replaced(site: Site, fleet: Fleet) -> None:
    before, failed = fleet.launches(), failures(fleet)
    first = fleet.send(prompt="a horse")
    fleet.want(1)
    one = fleet.another()
    fleet.wait_for_run(first)
    wait_for(lambda: not fleet.described()["DesiredCapacity"], "the machine to leave its group")
    # It has found nothing and goes: nobody will receive this. The alarm asks for another machine.
    second = fleet.send(prompt="a cow")
    fleet.wait_until_empty()
    assert fleet.launches() - before == 1
    assert "fleet/booted.json" in fleet.instance.objects()
    site.cloud.clock.pass_time(minutes=25)
    two = fleet.another(one)
    os.kill(fleet.machine(two).pid, signal.SIGKILL)  # what powers off by itself is replaced
    fleet.another(one, two)
    fleet.wait_for_run(second)
    fleet.wait_until_empty()
    assert fleet.launches() - before == 3
    assert failures(fleet) == failed


def failures(fleet: Fleet) -> set[str]:
    """What the machines have told of failures, so far."""
    return {key for key in fleet.instance.objects("fleet/") if "failed" in key}


@pytest.mark.parametrize("bundle", ["there", pytest.param("missing", marks=pytest.mark.long)])
def test_three_failing_boots_close_the_fleet(site: Site, fleet: Fleet, bundle: str) -> None:
    def without_a_bundle(machine: BootedMachine) -> None:
        machine.disk.write("/usr/local/sbin/sleep", "#!/bin/sh\nexec /usr/bin/sleep 0.1\n", mode=0o755)
        shim = '#!/bin/sh\n[ "$2" != zipfile ] && exec /usr/bin/python3 "$@"\nexit 1\n'
        machine.disk.write("/usr/local/bin/python3", shim, mode=0o755)

    before = fleet.launches()
    prepare = without_a_bundle if bundle == "missing" else None
    with site.making(machine_env={"SD_PYTHON": "/no/such/python"}, prepare=prepare):
        fleet.want(MOST)
        wait_for(lambda: fleet.described()["MaxSize"] == 0, "the fleet to close itself")
        fleet.wait_until_empty()
    assert fleet.launches() - before == MOST
    why = json.loads(fleet.instance.read("fleet/closed.json"))["reason"]
    assert ("/no/such/python" if bundle == "there" else "could not start") in why


def test_the_guard_outside_ends_a_machine_that_hangs_and_is_deaf(
    site: Site, fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    def spoil(machine: BootedMachine) -> None:
        without_timer(machine)
        for name in POWER:
            machine.disk.inside(f"/etc/systemd/system/{name}.target").symlink_to("/dev/null")
        machine.disk.write("/usr/local/sbin/aws", "#!/bin/sh\nsleep infinity\n", mode=0o755)

    monkeypatch.setattr("scripts.local.machines.machines.STOP_DEADLINE", 5.0)
    before = fleet.launches()
    with site.making(prepare=spoil):
        fleet.plan_to_end(datetime.now(UTC) + timedelta(hours=1))
        fleet.want(1)
        one = fleet.another()
        processes = fleet.machine(one).processes
        wait_for(lambda: any(b"aws" in command_of(pid) for pid in processes()), "the user data to hang")
        site.cloud.clock.pass_time(minutes=50)
        assert fleet.machines() == [one]
        site.cloud.clock.pass_time(minutes=20)
        fleet.wait_until_empty()
        site.cloud.clock.pass_time(minutes=60)
    assert fleet.machines() == []
    assert fleet.launches() - before == 1


@pytest.mark.long
def test_max_hours_ends_a_machine_that_works_through_its_group(site: Site, fleet: Fleet) -> None:
    before = fleet.launches()
    run_id = fleet.send(n_iter=1000, ddim_steps=10)
    fleet.want(1)
    one = fleet.another()
    wait_for(lambda: (fleet.instance.status(run_id) or {}).get("phase") == "generating", "the drawing")
    pass_max_hours(fleet.machine(one))
    fleet.wait_until_empty()
    assert fleet.launches() - before == 1, "none takes its place"
    assert (fleet.instance.status(run_id) or {}).get("phase") != "done"
