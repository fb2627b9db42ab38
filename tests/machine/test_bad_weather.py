"""What passes must not end a boot: services that are slow, busy or away for a while."""

from __future__ import annotations

import pytest

from scripts.local.booted.booted_machine import BootedMachine
from scripts.local.booted.gateway import Fault
from tests.machine.faults import SLOW_DOWN, UNAVAILABLE, for_a_while, slowly, to_all_but_cloud_init
from tests.machine.outcomes import assert_done
from tests.machine.site import Site


@pytest.mark.parametrize(
    ("service", "fault"),
    [
        pytest.param(
            "to_metadata",
            to_all_but_cloud_init(for_a_while(8, UNAVAILABLE)),
            id="the metadata service answers 503 for 8 s",
        ),
        pytest.param("to_metadata", slowly(2, requests=8), id="the metadata service needs 2 s for each of 8 answers"),
        pytest.param("to_aws", for_a_while(10, UNAVAILABLE), id="S3 answers 503 for 10 s"),
        pytest.param("to_aws", for_a_while(10, SLOW_DOWN), id="S3 answers SlowDown for 10 s"),
    ],
)
def test_the_run_is_done_all_the_same(site: Site, service: str, fault: Fault) -> None:
    def spoil(machine: BootedMachine) -> None:
        getattr(machine, service).fault = fault

    with site.launched(prepare=spoil) as instance:
        assert_done(instance)


def test_images_reach_a_bucket_that_is_away_while_they_are_drawn(site: Site) -> None:
    with site.launched({"Iterations": "3", "Steps": "10"}) as instance:
        instance.wait_for_line("1 of 3 images are drawn", file="/var/log/sd-on-ec2/worker.log")
        instance.machine.to_aws.fault = for_a_while(6, SLOW_DOWN)
        assert_done(instance, images=3)
