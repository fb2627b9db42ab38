"""The power goes in each phase; the next start goes on, and nothing is done twice."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import pytest

from tests.machine.site.instance import BOOT_LOG, Instance
from tests.machine.site.moments import Asks, Moment, Says, WorkerStarts
from tests.machine.site.outcomes import assert_done
from tests.machine.site.site import Site

WORK = {"Iterations": "5", "Steps": "20"}


@pytest.mark.parametrize(
    "moments",
    [
        pytest.param(
            [Asks("GET", ".zip"), Says("boot ...", BOOT_LOG), Says("weights ...", BOOT_LOG), WorkerStarts()],
            id="fetching the bundle, in the boot, making weights, loading",
        ),
        pytest.param(
            [
                Asks("PUT", "samples/00000.png"),
                Asks("PUT", "samples/00003.png"),
                Asks("PUT", "grid-0000.png"),
            ],
            id="drawing, uploading an image, uploading the last",
        ),
    ],
)
def test_the_next_start_goes_on(site: Site, moments: Sequence[Moment]) -> None:
    with site.launched(WORK, prepare=moments[0].prepare) as instance:
        moments[0].wait(instance)
        saved = cut_power(instance)
        for moment in moments[1:]:
            moment.prepare(instance.machine)
            instance.start()
            moment.wait(instance)
            saved = cut_power(instance, saved)
        instance.start()
        assert_done(instance, images=5)
        assert saved.items() <= written(instance).items()


def cut_power(instance: Instance, saved: dict[str, datetime] | None = None) -> dict[str, datetime]:
    """What is in the bucket afterwards, all of `saved` untouched in it."""
    instance.cut_power()
    assert instance.phase != "failed"
    there = written(instance)
    assert (saved or {}).items() <= there.items()
    return there


def written(instance: Instance) -> dict[str, datetime]:
    """When each image in the bucket was written."""
    return {name: entry["LastModified"] for name, entry in instance.images().items()}
