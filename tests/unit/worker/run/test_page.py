"""A page costs no image: whatever fails of it, the run goes on."""

from __future__ import annotations

import threading

import pytest

from tests.unit.page.records import records
from tests.unit.worker.run.test_max_spend import Deploy
from userdata.batch.documents import Batch, Part
from userdata.contract.layout import RunKeys
from userdata.contract.run_name import run_name
from userdata.page.facts import Facts
from userdata.worker.bucket.bucket import Bucket
from userdata.worker.process.settings import Settings
from userdata.worker.run import page
from userdata.worker.run.page import Thumbnails, publish_batch, publish_shards
from userdata.worker.run.run import Outcome, do_run


def test_a_run_whose_page_fails_altogether_is_done(
    bucket: Bucket, settings: Settings, parameters: Deploy, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> bytes:
        raise MemoryError

    for name in ("thumbnail_of", "make_shards", "facts_of_run"):
        monkeypatch.setattr(page, name, fail)
    deployed = parameters(Iterations="1", Samples="2", Steps="1")

    assert do_run(settings, deployed, threading.Event()) is Outcome.DONE

    keys = RunKeys(run_name(deployed))
    assert {keys.image(0), keys.image(1), keys.report} <= bucket.keys("")
    assert not bucket.keys(keys.page)


def test_after_a_thumbnail_that_failed_no_other_is_tried(bucket: Bucket) -> None:
    asked: list[int] = []
    thumbnails = Thumbnails(bucket, RunKeys("a-run"))

    def read() -> bytes:
        asked.append(1)
        return b"no image"

    for index in range(3):
        thumbnails.send(index, read)
    assert asked == [1]


def test_the_page_of_a_batch_names_the_shards_of_its_units(bucket: Bucket) -> None:
    keys = RunKeys("a-batch")
    for unit in (0, 1):
        publish_shards(bucket, keys, records(2), name=f"0-{unit:06}")
    part = Part(images=4, units=2, bytes=9)
    batch = Batch(
        run_id="a-batch", title="rows.csv", by="me", asked_at="2026-11-29T10:00:00Z", model="demo", parts=[part]
    )

    publish_batch(bucket, "a-batch", batch)

    facts = Facts.from_script(bucket.get(keys.page_facts) or b"")
    assert (facts.title, facts.images, facts.shards) == ("rows.csv", 4, ["0-000000", "0-000001"])
    assert bucket.get(keys.index)
