from __future__ import annotations

import json
import threading
from typing import Any

import pytest

from userdata.contract.layout import RunKeys
from userdata.contract.status import Failure, Status
from userdata.worker.bucket.bucket import Bucket
from userdata.worker.bucket.publisher import Publisher
from userdata.worker.run.progress import ESTIMATE_SECONDS, Progress, continued_status

KEYS = RunKeys("a-run")


class Statuses(Bucket):
    """Keeps the last status that is put."""

    def __init__(self) -> None:
        self.last: dict[str, Any] = {}

    def put(self, key: str, content: bytes) -> None:
        assert key == KEYS.status
        self.last = json.loads(content)


@pytest.fixture
def now() -> list[float]:
    return [1000.0]


@pytest.fixture
def bucket() -> Statuses:
    return Statuses()


@pytest.fixture
def progress(bucket: Statuses, now: list[float]) -> Progress:
    status = Status(run_id="a-run", instance_id="i-1", phase="model", images_total=6)
    return Progress(bucket, KEYS, status, clock=lambda: now[0])


def test_the_phases_have_their_lengths_the_one_under_way_included(progress: Progress, now: list[float]) -> None:
    for phase, seconds in (("model", 2.0), ("generating", 30.5), ("uploading", 1.25)):
        progress.enter(phase)
        now[0] += seconds
    progress.close()
    assert [(one.phase, one.seconds) for one in progress.phases()] == [
        ("model", 2.0),
        ("generating", 30.5),
        ("uploading", 1.25),
    ]


def test_images_are_counted_from_any_thread(progress: Progress, bucket: Statuses) -> None:
    progress.count(done=2)
    threads = [threading.Thread(target=progress.one_more_image) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    progress.one_more_flagged()
    progress.close()
    assert (bucket.last["images_done"], bucket.last["images_flagged"]) == (6, 1)


def test_a_failure_is_told_without_an_estimate(progress: Progress, bucket: Statuses) -> None:
    progress.enter("generating")
    progress.estimate(12.34)
    progress.fail(Failure(step="generating", message="No.", log_tail=""))
    progress.close()
    assert (bucket.last["phase"], bucket.last["error"]["message"]) == ("failed", "No.")
    assert bucket.last["eta_seconds"] is None


def test_the_next_phase_takes_neither_failure_nor_limit_along(progress: Progress, bucket: Statuses) -> None:
    progress.fail(Failure(step="model", message="No.", log_tail=""))
    progress.cap("Enough.", 2.5)
    progress.enter("generating")
    progress.close()
    assert bucket.last["phase"] == "generating"
    assert (bucket.last["error"], bucket.last["note"], bucket.last["max_spend"]) == (None, None, None)


def test_a_pause_keeps_the_phase_and_drops_the_estimate(progress: Progress, bucket: Statuses) -> None:
    progress.enter("generating")
    progress.estimate(12.34)
    progress.pause()
    progress.close()
    assert (bucket.last["phase"], bucket.last["eta_seconds"]) == ("generating", None)


def test_an_estimate_alone_asks_for_few_uploads(
    progress: Progress, now: list[float], bucket: Statuses, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is a request that is paid for."""
    asked: list[float] = []
    monkeypatch.setattr(Publisher, "changed", lambda _self: asked.append(now[0]))
    for _ in range(20):
        progress.estimate(1.0)
        now[0] += ESTIMATE_SECONDS / 4
    progress.close()
    assert asked == [1000.0 + turn * ESTIMATE_SECONDS for turn in range(5)]


@pytest.mark.parametrize("found", [None, b"", b"no JSON", b"[]", b'{"images_flagged": "many"}'])
def test_a_broken_status_is_replaced_by_a_new_one(found: bytes | None) -> None:
    status = continued_status(found, run_id="a-run", instance_id="i-1", images_total=6)
    assert (status.phase, status.images_total, status.images_done, status.images_flagged) == ("model", 6, 0, 0)


def test_the_next_attempt_keeps_the_beginning_and_the_flags() -> None:
    earlier = Status(run_id="a-run", instance_id="i-1", phase="generating", images_done=4, images_flagged=2)
    earlier.started_at = "2026-01-01T00:00:00.000Z"
    status = continued_status(earlier.to_json().encode(), run_id="a-run", instance_id="i-2", images_total=6)
    assert (status.started_at, status.images_flagged) == (earlier.started_at, 2)
    assert (status.instance_id, status.images_done, status.eta_seconds) == ("i-2", 4, None)
