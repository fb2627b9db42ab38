"""What passes must not end a boot: services that are slow, busy or away for a while."""

from __future__ import annotations

import pytest

from tests.machine.booted.booted_machine import BootedMachine
from tests.machine.booted.gateway import Fault
from tests.machine.site.faults import SLOW_DOWN, UNAVAILABLE, for_a_while, slowly, to_all_but_cloud_init
from tests.machine.site.instance import WORKER_LOG
from tests.machine.site.outcomes import assert_done
from tests.machine.site.site import Site


@pytest.mark.parametrize(
    ("to_metadata", "to_aws", "later"),
    [
        pytest.param(
            to_all_but_cloud_init(for_a_while(8, UNAVAILABLE)),
            for_a_while(10, UNAVAILABLE),
            for_a_while(6, SLOW_DOWN),
            id="metadata answers 503 for 8 s, then S3 for 10 s, and SlowDown for 6 s while it draws",
        ),
        pytest.param(
            to_all_but_cloud_init(slowly(2)),
            for_a_while(10, SLOW_DOWN),
            for_a_while(6, UNAVAILABLE),
            id="metadata needs 2 s for each answer, S3 says SlowDown for 10 s, and 503 for 6 s while it draws",
        ),
    ],
)
def test_the_run_is_done_all_the_same(site: Site, to_metadata: Fault, to_aws: Fault, later: Fault) -> None:
    def spoil(machine: BootedMachine) -> None:
        machine.to_metadata.fault = to_metadata
        machine.to_aws.fault = to_aws

    with site.launched({"Iterations": "3", "Steps": "20"}, prepare=spoil) as instance:
        instance.wait_for_line("1 of 3 images are drawn", file=WORKER_LOG)
        instance.machine.to_aws.fault = later
        assert_done(instance, images=3)
