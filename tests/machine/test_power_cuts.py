"""The power goes in each phase; the next start goes on, and nothing is done twice."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.machine.faults import Seen
from tests.machine.instance import Instance
from tests.machine.outcomes import assert_done
from tests.machine.site import Site

WORKER_LOG = "/var/log/sd-on-ec2/worker.log"
WORK = {"Iterations": "3", "Steps": "10"}


@pytest.mark.parametrize(
    "reach",
    [
        pytest.param(lambda instance: instance.wait_for_line("boot ..."), id="boot"),
        pytest.param(lambda instance: instance.wait_for_line("weights ..."), id="weights"),
        pytest.param(lambda instance: instance.worker(), id="model"),
        pytest.param(lambda instance: instance.wait_for_line("1 of 3 images", file=WORKER_LOG), id="generating"),
    ],
)
def test_the_next_start_goes_on(site: Site, reach: Callable[[Instance], object]) -> None:
    with site.launched(WORK) as instance:
        reach(instance)
        assert_resumed(instance)


@pytest.mark.parametrize(
    "seen",
    [
        pytest.param(Seen("GET", ".zip"), id="fetching the bundle"),
        pytest.param(Seen("PUT", "samples/00001.png"), id="uploading an image"),
        pytest.param(Seen("PUT", "grid-0000.png"), id="uploading the last"),
    ],
)
def test_the_next_start_goes_on_after_a_request(site: Site, seen: Seen) -> None:
    with site.launched(WORK, prepare=lambda machine: setattr(machine.to_aws, "fault", seen)) as instance:
        seen.wait()
        assert_resumed(instance)


def assert_resumed(instance: Instance) -> None:
    instance.cut_power()
    assert instance.phase != "failed"
    before = {name: entry["LastModified"] for name, entry in instance.images().items()}
    instance.start()
    assert_done(instance, images=3)
    after = {name: entry["LastModified"] for name, entry in instance.images().items()}
    assert {name: after[name] for name in before} == before
