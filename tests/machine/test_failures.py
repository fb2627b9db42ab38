"""What does not pass ends in a defined state: told in the bucket where that can be reached, powered off, resumable."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from tests.machine.booted.booted_machine import BootedMachine
from tests.machine.site import manners
from tests.machine.site.bundles import gpu_without_memory
from tests.machine.site.environment_server import ENVIRONMENT, environment_server, insatiable_installer
from tests.machine.site.faults import clock_off_by, missing
from tests.machine.site.instance import WORKER_LOG
from tests.machine.site.launch import Launch
from tests.machine.site.outcomes import assert_done, assert_failed
from tests.machine.site.site import Site
from tests.machine.site.waiting import wait_for

NO_DRIVER = {"SD_DEVICE": ""}


def test_no_driver_and_then_a_role_that_has_lost_its_rights(site: Site) -> None:
    with site.launched(machine_env=NO_DRIVER) as instance:
        assert_failed(instance, step="driver", message="no NVIDIA driver")
        (boot,) = instance.boots()
        assert boot["error"]["step"] == "driver"
        assert "driver ..." in instance.read(f"runs/{instance.run_id}/log.txt")
        shown = site.run("python", "-m", "scripts.command_line", "status", "--stack", instance.stack)
        assert "no NVIDIA driver" in " ".join(shown.split())

        site.take_rights_away()
        instance.update(Prompt="A tree in forest")
        instance.start()
        instance.wait_for_state("stopped")
        assert instance.status() is None
        assert instance.boots() == [boot]
        saved = json.loads(instance.machine.read("/var/lib/sd-on-ec2/boot.json"))
        assert "Check that the bucket exists and that the instance's role may use it" in saved["error"]["message"]


def test_a_failure_with_keep_leaves_the_machine_for_a_look(site: Site) -> None:
    with site.launched({"OnFailure": "keep"}, machine_env=NO_DRIVER) as instance:
        wait_for(lambda: instance.phase == "failed", "the failure")
        wait_for(instance.boots, "the record of the boot")
        assert_failed(instance, step="driver", message="no NVIDIA driver", state="running")


def test_no_bundle(site: Site) -> None:
    def spoil(machine: BootedMachine) -> None:
        patiently(machine)
        machine.to_aws.fault = missing(".zip")

    with site.launched(prepare=spoil) as instance:
        instance.wait_for_state("stopped")
        (boot,) = instance.boots()
        assert boot["error"]["step"] == "user-data"
        assert "fetch the bundle s3://" in boot["error"]["message"]
        assert "403" in boot["error"]["message"]


def test_a_role_without_rights(site: Site) -> None:
    def spoil(machine: BootedMachine) -> None:
        patiently(machine)
        site.take_rights_away()

    with site.launched(prepare=spoil) as instance:
        instance.wait_for_state("stopped")
        assert instance.objects() == {}
        assert "Could not fetch the bundle" in instance.machine.console


def test_a_worker_that_is_killed(site: Site) -> None:
    # Slow enough for a busy host: the failure is told in the phase that the bucket knows of.
    with site.launched({"Iterations": "3", "Steps": "300"}) as instance:
        wait_for(lambda: instance.phase == "generating", "the drawing")
        instance.wait_for_line("1 of 3 images are drawn", file=WORKER_LOG)
        instance.kill_worker()
        assert_failed(instance, step="generating", message="was killed by signal KILL")
        instance.start()
        assert_done(instance, images=3)


def test_a_worker_that_runs_out_of_memory(site: Site) -> None:
    large = {"Height": "2048", "Width": "2048"}
    with site.launched(large, prepare=lambda machine: machine.limit_memory(900)) as instance:
        assert_failed(instance, step="generating", message="ran out of memory. Ask for smaller images")


def test_a_gpu_that_runs_out_of_memory(site: Site) -> None:
    """Only a stand-in: the worker's UNet raises what torch raises on a GPU that is full."""
    with Launch(site, {}, gpu_without_memory())({}, {}, manners.well) as instance:
        error = assert_failed(instance, step="generating", message="memory does not suffice")
        assert "InstanceType" in error["message"]


def test_a_step_of_the_boot_that_runs_out_of_memory(site: Site) -> None:
    launch = Launch(site, *environment_server(installer=insatiable_installer()))
    with launch({}, ENVIRONMENT, manners.well, lambda machine: machine.limit_memory(400)) as instance:
        assert_failed(instance, step="environment", message="was ended by signal 9")


def test_a_disk_without_room_for_the_bundle(site: Site) -> None:
    def spoil(machine: BootedMachine) -> None:
        patiently(machine)
        machine.disk.limit("/opt/sd-on-ec2", megabytes=1)

    with site.launched(prepare=spoil) as instance:
        instance.wait_for_state("stopped")
        (boot,) = instance.boots()
        assert boot["error"]["step"] == "user-data"
        assert "No space left on device" in boot["error"]["message"]


def test_a_disk_that_fills_while_images_are_saved(site: Site) -> None:
    def spoil(machine: BootedMachine) -> None:
        machine.disk.limit("/var/lib/private/sd-worker", megabytes=1)

    with site.launched({"Height": "512", "Width": "512", "Iterations": "8"}, prepare=spoil) as instance:
        error = assert_failed(instance, step="generating", message="No space left on device")
        assert "VolumeSize" in error["message"]
        # What was saved before is in the bucket.
        status = instance.status()
        assert status is not None
        assert 0 < status["images_done"] == len(instance.images()) < 8


def test_a_disk_without_room_for_the_environment(site: Site) -> None:
    def spoil(machine: BootedMachine) -> None:
        machine.disk.limit("/opt/sd-on-ec2", megabytes=64)  # the bundle, packed and unpacked, and little more

    launch = Launch(site, *environment_server())
    with launch({}, ENVIRONMENT, manners.well, spoil) as instance:
        assert_failed(instance, step="environment", message="larger VolumeSize")
        assert launch.hub.ranges == []


@pytest.mark.parametrize("hours", [1, -1])
def test_a_clock_that_is_off(site: Site, hours: int) -> None:
    """S3 refuses whatever such a machine signs, so nothing can be told there; what it costs must end all the same."""

    def spoil(machine: BootedMachine) -> None:
        patiently(machine)
        machine.to_aws.fault = clock_off_by(timedelta(hours=hours))

    with site.launched(prepare=spoil) as instance:
        instance.wait_for_state("stopped")
        assert instance.objects() == {}
        assert "Could not fetch the bundle" in instance.machine.console


def patiently(machine: BootedMachine) -> None:
    """The user data's pauses between its attempts take no time."""
    machine.disk.write("/usr/local/bin/sleep", "#!/bin/sh\n", mode=0o755)
