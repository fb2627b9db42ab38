"""Nothing saved is lost, and nothing is done twice, wherever the worker is killed."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys

import pytest

from scripts.local.command_environment import CHECKOUT
from tests.soak.soak import Soak
from tests.soak.stage import Stage
from tests.whole_way.conftest import QUICK, TEST_SECONDS, Person, run_id_of, wait_for

pytestmark = [pytest.mark.local_cloud, pytest.mark.timeout(TEST_SECONDS)]


def test_a_killed_worker_goes_on_with_the_missing_images(person: Person) -> None:
    # Slow enough that the worker is still at work when it is killed, which takes a while on a busy computer.
    wanted = {**QUICK, "Steps": "100", "Height": "128", "Width": "128", "Iterations": "5", "Samples": "1"}
    person.deploy(**wanted)
    bucket, run_id = person.output("ResultsBucket"), run_id_of(**wanted)
    wait_for(lambda: len(person.images(bucket, run_id)) >= 1, "an image")
    before = {key: person.objects(bucket)[key] for key in person.images(bucket, run_id)}
    os.kill(worker_process(person), signal.SIGKILL)

    person.wait_for_state("stopped")
    failed = person.read(bucket, f"runs/{run_id}/status.json")
    assert failed["phase"] == "failed"
    assert "was killed by signal KILL" in failed["error"]["message"]
    assert len(person.images(bucket, run_id)) < 5
    assert "Started" in person.sd("start")
    person.wait_for_run(bucket, run_id, after=failed["updated_at"])

    images = person.images(bucket, run_id)
    assert [key.rsplit("/", 1)[1] for key in images] == [f"{index:05}.png" for index in range(5)]
    after = person.objects(bucket)
    assert all(after[key]["LastModified"] == entry["LastModified"] for key, entry in before.items())
    seeds = [person.read(bucket, key.replace(".png", ".json"))["seed"] for key in images]
    assert seeds == list(range(42, 47))

    # A sample of the soak, on the stack that stands.
    person.wait_for_state("stopped")
    soak = Soak(Stage(person), random.Random(18))
    outcomes = soak.do("wrong-clock", "run")
    while not outcomes[-1].met and len(outcomes) < 5:  # a quick machine may have drawn all before the fault began
        outcomes += soak.do("wrong-clock", "run")
    assert not any(outcome.is_bad for outcome in outcomes), outcomes
    disturbed = outcomes[-1]
    assert (disturbed.met, disturbed.starts, disturbed.told) == (True, 0, "done")


@pytest.mark.long
@pytest.mark.timeout(5400)
def test_an_hour_of_faults_loses_no_image_and_leaves_no_machine() -> None:
    soaked = subprocess.run([sys.executable, "-m", "tests.soak", "--minutes", "60"], cwd=CHECKOUT, check=False)
    assert soaked.returncode == 0


def worker_process(person: Person) -> int:
    """The worker's process on the emulated instance: the one whose environment names its disk."""
    disk = str(person.cloud.scratch)
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                command = open(f"/proc/{entry}/cmdline", "rb").read()
                environment = open(f"/proc/{entry}/environ", "rb").read()
            except OSError:
                continue
            if b"userdata.worker\0" in command and b"-m\0" in command and disk.encode() in environment:
                return int(entry)
    raise AssertionError("the worker does not run")
