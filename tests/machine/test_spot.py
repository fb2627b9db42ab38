"""EC2 takes a spot instance back: what is drawn reaches the bucket within the two minutes."""

from __future__ import annotations

import time

from tests.machine.site.instance import WORKER_LOG
from tests.machine.site.site import Site

NOTICE_SECONDS = 120  # that EC2 gives


def test_the_notice_ends_the_work(site: Site) -> None:
    # More than any host draws until the worker looks for the notice, five seconds after its last look.
    with site.launched({"Iterations": "40", "Steps": "200"}) as instance:
        instance.wait_for_line("1 of 40 images are drawn", file=WORKER_LOG)
        site.cloud.machines.announce_spot_interruption(instance.id, "stop", "2026-01-02T03:04:05Z")
        began = time.monotonic()
        instance.wait_for_line("the worker has stopped from outside", file=WORKER_LOG)
        assert time.monotonic() - began < NOTICE_SECONDS

        status = instance.status()
        assert status is not None
        assert (status["phase"], status["error"]) == ("generating", None)
        assert 0 < status["images_done"] == len(instance.images()) < 40
        assert instance.state == "running"  # it is EC2 that takes it
