"""What is counted and added up of what machines tell, without a bucket."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest

from scripts.command_line.batches.next_commands import more_usd, next_commands
from scripts.command_line.batches.progress import Counts, Machine, Progress
from scripts.command_line.batches.show import why
from scripts.command_line.batches.watch import pause_after
from tests.unit.command_line.batches import conftest
from tests.unit.command_line.batches.conftest import ARN, RUN
from userdata.batch.documents import Batch, Control, Part

# Not to-day: tests may begin many minutes after they were imported.
NOW = datetime(2026, 3, 28, 12, 0, tzinfo=UTC)
share = partial(conftest.share, now=NOW)
HOUR = timedelta(hours=1)
OLD = Batch(
    run_id=RUN, title="t", by=ARN, asked_at=NOW - HOUR, model="m", parts=[Part(images=100, units=10, bytes=1000)]
)


def progress(done: int = 5, failed: int = 0, *machines: Machine, recent: int = 0, **other: Any) -> Progress:
    counts = Counts(done=done, recent=recent, failed=failed)
    usual: dict[str, Any] = {"control": None, "queued": 3}
    return Progress(run_id=RUN, batch=OLD, counts=counts, machines=machines, now=NOW, **(usual | other))


def control(state: Any, ago: timedelta = HOUR) -> Control:
    return Control(state=state, by=ARN, at=NOW - ago, why="The limit is reached.")


@pytest.mark.parametrize(
    ("found", "state"),
    [
        (progress(), "waits"),
        (progress(5, 0, Machine(share())), "works"),
        (progress(5, 0, Machine(share(ago=HOUR))), "waits"),
        (progress(5, 0, Machine(share(), "terminated")), "waits"),
        (progress(9, 1), "done"),
        (progress(10, control=control("paused")), "done"),
        (progress(9, 0, Machine(share()), control=control("paused")), "paused"),
        (progress(control=control("cancelled")), "cancelled"),
        (progress(control=control("capped")), "capped"),
        (progress(queued=0), "stuck"),
        (progress(queued=0, control=control("go", timedelta(seconds=30))), "waits"),
        (progress(queued=None), "waits"),
        (progress(is_closed=True), "stuck"),
    ],
)
def test_the_state_follows_from_units_control_machines_and_queue(found: Progress, state: str) -> None:
    assert found.state == state
    assert all(RUN in command or command.startswith("sd ") for command in next_commands(found))


@pytest.mark.parametrize(
    ("done", "units", "images", "expected"),
    [
        (0, 0, 0, 0),
        (5, 5, 40, 40),  # all is told: exact
        (5, 4, 32, 40),  # a machine has not told of its last unit yet
        (5, 0, 0, 50),  # nothing is told: by the batch's own units
        (10, 1, 1, 100),  # all is drawn: exact, whatever was told
        (5, 1, 100, 95),  # nonsense is held within what can be
        (5, 100, 1, 5),
    ],
)
def test_images_are_counted_by_units(done: int, units: int, images: int, expected: int) -> None:
    assert progress(done, 0, Machine(share(units=units, images=images))).images_done == expected


def test_rate_and_time_left_are_of_the_last_five_minutes() -> None:
    found = progress(5, 1, Machine(share(units=5, images=50)), recent=2)
    assert found.images_a_minute == pytest.approx(4)
    assert found.left == timedelta(minutes=10)  # 40 images are neither drawn nor set aside
    younger = progress(5, 0, Machine(share(units=5, images=50, began=NOW - timedelta(minutes=1))), recent=2)
    assert younger.images_a_minute == pytest.approx(20)
    assert progress(5, 0, recent=2).left is None


def test_dollars_say_what_they_leave_out() -> None:
    known, seen = Machine(share()), Machine(share("i-2", usd=0.25, usd_at_most=0.5, ago=HOUR))
    unknown = Machine(share("i-3", usd=None, usd_at_most=None, usd_per_hour=None))
    assert progress(5, 0, known).usd_in_words == "$0.25"
    assert progress(5, 0, known, seen).usd_in_words == "$0.50, at most $0.75"
    assert progress(5, 0, known, unknown).usd_in_words == "$0.25, and machines of no known price"
    assert progress(5, 0, unknown).usd_in_words == "price not known"
    assert progress(5, 0, known, seen, unknown).usd_per_hour == 0.8  # the second is no more at work


def test_a_capped_batch_is_offered_a_limit_that_is_enough() -> None:
    found = progress(5, 0, Machine(share(units=5, images=50, usd=1.0, usd_at_most=2.0)), control=control("capped"))
    assert more_usd(found) == 4.8
    assert next_commands(found)[0] == f"sd resume {RUN} --max-usd 4.8"
    assert "The limit is reached." in why(found)


def test_looks_are_rarer_for_larger_batches() -> None:
    part = Part(images=100_000, units=100_000, bytes=10**9)
    large = dataclasses.replace(progress(), batch=OLD.model_copy(update={"parts": [part]}))
    assert pause_after(progress()) == pytest.approx(5, abs=0.1)
    assert pause_after(large) == 30
