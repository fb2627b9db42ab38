"""The units of batches are drawn, once each, by whoever receives their messages; what fails blocks nobody."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError
from PIL import Image

from tests.unit.worker.queue.conftest import PREFIX, RUN_ID, Work, units_of
from tests.unit.worker.queue.test_serve import NOTHING, until, versions
from tests.unit.worker.stand_in import StandIn
from userdata.batch.documents import BatchEnded, Control, MachineShare, UnitDone, UnitFailed
from userdata.contract.layout import Folders, RunKeys
from userdata.contract.patience import Patience
from userdata.contract.tries import Tries, read_tries
from userdata.contract.work import BATCH, INTERACTIVE, Release
from userdata.page.facts import Facts
from userdata.page.shard import Shard
from userdata.record.image_metadata import ImageRecord, record_in_png
from userdata.worker.batch import batches, endings, unit_pictures
from userdata.worker.between.task import Task
from userdata.worker.bucket.bucket import Bucket
from userdata.worker.loaded.loaded import Loaded
from userdata.worker.queue import serve
from userdata.worker.queue.queues import Queues

KEYS = RunKeys(RUN_ID)


def test_one_message_releases_a_batch_and_its_end_is_told_once(work: Work) -> None:
    """With the real model: pixels, records and every document."""
    units = units_of(2, images=2)
    work.put_batch(units)
    work.send_work(Release(RUN_ID, 0))
    told: list[Any] = []
    work.serve(loaded=Loaded(stays=True), batch_ended=lambda batch, ended: told.append((batch.run_id, ended)))

    for unit in units:
        done = UnitDone.from_json(work.bucket.get(KEYS.unit_done(0, unit.unit)) or b"")
        assert (done.images, done.flagged, done.instance_id) == (2, 0, work.settings.instance_id)
        for image in unit.images:
            png = work.bucket.get(KEYS.image(image.index)) or b""
            record = ImageRecord.from_json(work.bucket.get(KEYS.image_metadata(image.index)) or b"")
            assert record_in_png(png) == record
            assert record.request.seed == record.seed == image.index
            assert (record.request.prompt, record.job["prompt"]) == (f"a horse {image.index}",) * 2
            assert {other.index for other in record.batch} <= {one.index for one in unit.images}
            assert versions(work.bucket, KEYS.image(image.index)) == 1
            assert (work.bucket.get(KEYS.thumbnail(image.index)) or b"")[8:12] == b"WEBP"
        shard = Shard.from_script(work.bucket.get(KEYS.page_shard(f"0-{unit.unit:06}")) or b"")
        assert [image.index for image in shard.images] == [image.index for image in unit.images]
    facts = Facts.from_script(work.bucket.get(KEYS.page_facts) or b"")
    assert facts.shards == ["0-000000", "0-000001"]
    assert KEYS.index in work.bucket.keys(KEYS.prefix)
    share = MachineShare.from_json(work.bucket.get(KEYS.machine(work.settings.instance_id)) or b"")
    assert (share.units, share.images) == (2, 4)
    assert share.usd_per_hour == pytest.approx(3.6, abs=0.1)
    assert share.usd
    assert (facts.usd, facts.work_seconds) == (share.usd_at_most, share.seconds)
    assert facts.images_per_hour
    assert 0 <= share.usd - share.seconds / 1000 < 0.005, "the time, and some requests"
    ((run_id, ended),) = told
    assert (run_id, ended.units_done, ended.units_failed) == (RUN_ID, 2, 0)
    assert BatchEnded.from_json(work.bucket.get(KEYS.batch_ended) or b"") == ended
    others = {KEYS.status, KEYS.report, KEYS.job, KEYS.log, KEYS.gpu, KEYS.tries}
    assert not others & work.bucket.keys(KEYS.prefix)
    assert (work.left(BATCH), work.dead(BATCH)) == (NOTHING, [])


def test_the_end_of_a_batch_waits_for_no_other_batch(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "LOOK_SECONDS", 0)
    other = "others-0123456789"
    work.send_work(*work.put_batch(units_of(1)), *work.put_batch(units_of(3), other))
    drawing = StandIn()
    ended: list[tuple[str, int]] = []
    work.serve(loaded=drawing, batch_ended=lambda batch, _ended: ended.append((batch.run_id, len(drawing.drawn))))
    assert ended == [(RUN_ID, 1), (other, 4)]


def test_the_end_is_told_although_the_machine_of_the_last_unit_dies(
    work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another machine draws the last unit after this one has found the queue empty, and looks no more itself."""
    ours, theirs = work.put_batch(units_of(2))
    work.send_work(ours)
    ends: list[BatchEnded] = []
    look = endings.end_if_all_is_done

    def looked(bucket: Bucket, run_id: str) -> Any:
        try:
            return look(bucket, run_id)
        finally:
            done = bucket.get(KEYS.unit_done(ours.part, ours.unit)) or b""
            bucket.put_once(KEYS.unit_done(theirs.part, theirs.unit), done)

    monkeypatch.setattr(batches, "end_if_all_is_done", looked)
    deadline = time.monotonic() + 30
    work.serve(
        loaded=StandIn(),
        uses=[lambda: "waits for the end" if not ends and time.monotonic() < deadline else None],
        batch_ended=lambda _batch, ended: ends.append(ended),
    )
    assert [ended.units_done for ended in ends] == [2]


def test_an_upload_that_fails_lets_the_others_of_its_unit_be(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[str] = []

    def away(_bucket: Bucket, record: tuple[str, bytes], _image: tuple[str, bytes]) -> None:
        tried.append(record[0])
        raise EndpointConnectionError(endpoint_url="https://s3")

    monkeypatch.setattr(Bucket, "put_picture", away)
    monkeypatch.setattr(unit_pictures, "AT_ONCE", 1)
    monkeypatch.setattr(serve, "REST_SECONDS", 0)
    work.send_work(*work.put_batch(units_of(1, images=6)))
    work.serve(loaded=StandIn())
    assert len(tried) == 2, "once in each attempt"
    assert "https://s3" in UnitFailed.from_json(work.bucket.get(KEYS.unit_failed(0, 0)) or b"").reason
    assert KEYS.unit_done(0, 0) not in work.bucket.keys(KEYS.prefix)


def test_a_unit_is_drawn_as_a_part_of_its_batch(work: Work) -> None:
    beside: list[int] = []
    work.send_work(*work.put_batch(units_of(3, images=2)))
    work.serve(loaded=StandIn(before=lambda task: beside.append(task.beside)))
    assert beside == [4, 4, 4]


def test_a_unit_is_drawn_within_its_mask_and_its_records_say_which(work: Work) -> None:
    files = {"inputs/start.png": Image.new("RGB", (64, 64), "red"), "inputs/mask.png": Image.linear_gradient("L")}
    for key, image in files.items():
        file = io.BytesIO()
        image.resize((64, 64)).save(file, format="PNG")
        work.bucket.put(key, file.getvalue())
    starts: list[Any] = []
    work.send_work(*work.put_batch(units_of(1, init_img="inputs/start.png", init_mask="inputs/mask.png", W=64)))
    work.serve(loaded=StandIn(before=lambda task: starts.append(task.initial_image)))
    assert [start.mode for start in starts] == ["RGBA"]
    keys = RunKeys(RUN_ID, from_image=True)
    record = ImageRecord.from_json(work.bucket.get(keys.image_metadata(1)) or b"")
    assert record.mask_sha256 == hashlib.sha256(work.bucket.get("inputs/mask.png") or b"").hexdigest()


def test_a_message_that_comes_twice_waits_for_the_end_of_its_unit(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    drawing, begun_again = StandIn(before=lambda _: began()), threading.Event()
    begun: list[int] = []

    def began() -> None:
        begun.append(1)
        if len(begun) == 2:
            begun_again.set()

    finish = unit_pictures.UnitPictures.finish

    def slowly(pictures: unit_pictures.UnitPictures) -> None:
        begun_again.wait(0.5)
        finish(pictures)

    monkeypatch.setattr(unit_pictures.UnitPictures, "finish", slowly)
    (unit,) = work.put_batch(units_of(1))
    work.send_work(unit, unit)
    work.serve(loaded=drawing)
    assert drawing.drawn == [[0, 1]]


def test_what_is_drawn_already_is_not_drawn_again(work: Work) -> None:
    first, second = work.put_batch(units_of(2))
    work.send_work(first, first, second, kind=INTERACTIVE)
    drawing = StandIn()
    work.serve(loaded=drawing)
    work.send_work(second, Release(RUN_ID, 0))
    work.serve(loaded=drawing)
    assert drawing.drawn == [[0, 1], [2, 3]]
    assert (work.left(INTERACTIVE), work.left(BATCH)) == (NOTHING, NOTHING)


def test_no_unit_is_begun_while_the_batch_rests(work: Work) -> None:
    (unit,) = work.put_batch(units_of(1))
    drawing = StandIn()
    states: list[Any] = ["paused", "cancelled", "capped", "odd"]
    for state in states:
        if state == "odd":
            work.bucket.put(KEYS.control, b"[]")
        else:
            work.control(state)
        work.send_work(unit, Release(RUN_ID, 0))
        work.serve(loaded=drawing)
        assert (drawing.drawn, work.left(BATCH)) == ([], NOTHING)
    work.control("go")
    work.send_work(Release(RUN_ID, 0))
    work.serve(loaded=drawing)
    assert drawing.drawn == [[0, 1]]


def test_a_unit_gives_way_between_its_batches_and_draws_no_image_twice(work: Work) -> None:
    (unit,) = work.put_batch(units_of(1, images=5))
    work.send_work(unit)
    urgent = work.put_job(prompt="one")

    def before(task: Task) -> None:
        if not drawing.drawn:
            work.send(INTERACTIVE, urgent)
            begins, seen = task.begin_batch, iter([False])
            object.__setattr__(task, "begin_batch", lambda: next(seen, None) is None and until(lambda: waits(begins)))

    def waits(begins: Any) -> bool:
        begins()  # raises once somebody waits
        return False

    drawing = StandIn(at_once=2, before=before)
    work.serve(loaded=drawing)
    assert drawing.drawn == [[0, 1], [0], [2, 3], [4]]
    assert all(versions(work.bucket, KEYS.image(index)) == 1 for index in range(5))
    assert json.loads(work.bucket.get(RunKeys(urgent).status) or b"")["phase"] == "done"


def test_the_next_unit_is_drawn_while_the_last_one_is_uploaded_but_its_message_waits(
    work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    work.send_work(*work.put_batch(units_of(2)))
    next_one_begins = threading.Event()
    put_picture = Bucket.put_picture

    def slow(self: Bucket, record: tuple[str, bytes], image: tuple[str, bytes]) -> None:
        if KEYS.image(0) == image[0]:
            assert next_one_begins.wait(30)
            assert work.left(BATCH) == (0, 2), "deleted before it was uploaded"
        put_picture(self, record, image)

    monkeypatch.setattr(Bucket, "put_picture", slow)
    work.serve(loaded=StandIn(before=lambda task: next_one_begins.set() if task.missing[0].index == 2 else None))
    assert work.left(BATCH) == NOTHING
    assert len(work.bucket.keys(KEYS.units_done)) == 2


def test_of_two_machines_at_one_unit_the_first_one_counts(work: Work) -> None:
    """One has lost its lease without knowing it, or SQS has delivered twice."""
    (unit,) = work.put_batch(units_of(1))
    work.send_work(unit, unit)
    slow = work.settings
    fast = dataclasses.replace(slow, instance_id="i-fast", state_directory=slow.state_directory / "fast")

    def meanwhile(_task: Task) -> None:
        work.settings = fast
        work.serve(loaded=StandIn())

    work.serve(loaded=StandIn(before=meanwhile))
    shares = [MachineShare.from_json(work.bucket.get(KEYS.machine(one.instance_id)) or b"") for one in (fast, slow)]
    assert [(share.units, share.images) for share in shares] == [(1, 2), (0, 0)]
    assert all(share.seconds and share.usd for share in shares), "both have cost money"
    for key in (KEYS.unit_done(0, 0), *(KEYS.image(index) for index in range(2))):
        assert versions(work.bucket, key) == 1
    assert (work.left(BATCH), work.dead(BATCH)) == (NOTHING, [])


def test_a_stop_gives_the_unit_back_and_counts_no_failure(work: Work) -> None:
    (unit,) = work.put_batch(units_of(1))
    work.send_work(unit)
    work.serve(loaded=StandIn(before=lambda _task: work.stop.set()))
    assert work.left(BATCH) == (1, 0)
    assert KEYS.unit_tries(0, 0) not in work.bucket.keys(KEYS.prefix)
    share = MachineShare.from_json(work.bucket.get(KEYS.machine(work.settings.instance_id)) or b"")
    assert share.units == 0
    assert share.usd, "what is given back has cost money too"


@pytest.fixture
def _rests_shortly(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(serve, "REST_SECONDS", 1)
    yield


@pytest.mark.usefixtures("_rests_shortly")
def test_a_unit_that_fails_twice_is_set_aside_with_its_reason_and_blocks_nobody(work: Work) -> None:
    poison, other = work.put_batch(units_of(2))
    work.send_work(poison, other)

    def before(task: Task) -> None:
        if task.missing[0].index == 0:
            raise RuntimeError("the card sees ghosts")

    ends: list[BatchEnded] = []
    work.serve(loaded=StandIn(before=before), batch_ended=lambda _batch, ended: ends.append(ended))
    ((body, reason),) = work.dead(BATCH)
    assert body == poison.to_body()
    failed = UnitFailed.from_json(work.bucket.get(KEYS.unit_failed(0, 0)) or b"")
    assert failed.reason == reason
    assert "the card sees ghosts" in reason
    assert (failed.at, failed.bytes) == (poison.at, poison.bytes)
    assert KEYS.unit_done(0, 1) in work.bucket.keys(KEYS.units_done)
    assert [(end.units_done, end.units_failed) for end in ends] == [(1, 1)]
    assert work.left(BATCH) == NOTHING

    work.send_work(poison)  # as `sd retry` does
    work.serve(loaded=StandIn(), batch_ended=lambda _batch, ended: ends.append(ended))
    assert [(end.units_done, end.units_failed) for end in ends] == [(1, 1), (2, 0)]


def test_a_unit_that_kills_its_worker_is_set_aside_after_the_second_time(work: Work) -> None:
    """Whoever sees the worker killed has put the note into the bucket; only one that was received before is read."""
    (unit,) = work.put_batch(units_of(1))
    work.send_work(unit)
    note = work.settings.state_directory / Folders().queued_run.name
    on_disk: list[Tries | None] = []
    drawing = StandIn(before=lambda _task: on_disk.append(read_tries(note.read_text())))
    message = work.queues.receive(BATCH, wait_seconds=0)
    assert message
    twice = Tries(unit.to_body(), message.name).failed("killed").failed("The worker was killed by signal KILL.")
    work.bucket.put(twice.key, twice.to_json().encode())
    work.queues.hide(message, seconds=0)
    work.serve(loaded=drawing)
    ((_, reason),) = work.dead(BATCH)
    assert (reason, drawing.drawn) == ("The worker was killed by signal KILL.", [])
    work.send_work(unit)  # somebody asks again, and the machine that receives it first is taken away
    message = work.queues.receive(BATCH, wait_seconds=0)
    assert message
    work.queues.hide(message, seconds=0)
    work.serve(loaded=drawing)
    assert (drawing.drawn, on_disk) == ([[0, 1]], [Tries(unit.to_body(), message.name)])


def test_messages_that_point_at_no_unit_are_set_aside(work: Work) -> None:
    (unit,) = work.put_batch(units_of(1))
    changes: list[tuple[dict[str, Any], str]] = [
        ({"unit": 1, "at": 1}, "The unit cannot be read"),
        ({"unit": 2, "at": 10**9}, "The unit cannot be read"),
        ({"unit": 3, "bytes": 0}, "The unit cannot be read"),
        ({"unit": 4, "bytes": 10**12}, "The unit cannot be read"),
        ({"unit": 7}, "is that of unit 0"),
        ({"part": 3}, "There is no runs/many-0123456789/units-3.jsonl"),
    ]
    for change, _ in changes:
        work.send_work(dataclasses.replace(unit, **change))
    work.serve(loaded=StandIn())
    reasons = dict(work.dead(BATCH))
    assert len(reasons) == len(changes)
    for change, says in changes:
        wrong = dataclasses.replace(unit, **change)
        reason = reasons[wrong.to_body()]
        assert says in reason
        assert UnitFailed.from_json(work.bucket.get(KEYS.unit_failed(wrong.part, wrong.unit)) or b"").reason == reason


def test_a_batch_ends_at_its_limit_of_dollars(work: Work) -> None:
    """At $3.6 an hour a unit of a second costs a tenth of a cent; no further one is begun once the limit is near."""
    work.send_work(*work.put_batch(units_of(3), max_usd=0.0001))
    drawing = StandIn(before=lambda _task: time.sleep(0.2))
    work.serve(loaded=drawing)
    control = Control.from_json(work.bucket.get(KEYS.control) or b"")
    assert (control.state, control.by) == ("capped", work.settings.instance_id)
    assert "The batch may cost $0.0001" in control.why
    assert len(drawing.drawn) < 3
    assert (work.left(BATCH), work.dead(BATCH)) == (NOTHING, [])


def test_the_time_of_a_machine_that_was_started_for_a_batch_counts_from_its_boot(work: Work) -> None:
    work.send_work(*work.put_batch(units_of(1)))
    work.serve(loaded=StandIn(), started_for_queues=True)
    share = MachineShare.from_json(work.bucket.get(KEYS.machine(work.settings.instance_id)) or b"")
    assert share.began == work.settings.boot_started_at
    assert share.seconds < 60
    assert (share.usd or 0) > 3.6


def test_messages_that_sqs_has_not_taken_are_sent_again(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    queues = Queues(PREFIX, patience=Patience(attempts=3, sleep=lambda _seconds: None))
    send, sent = queues._client.send_message_batch, []

    def busy(QueueUrl: str, Entries: list[dict[str, str]]) -> Any:  # noqa: N803  # boto3's own names
        sent.append([one["MessageBody"] for one in Entries])
        taken = Entries[1:] if len(sent) == 1 else Entries
        send(QueueUrl=QueueUrl, Entries=taken)  # type: ignore[arg-type]
        return {"Failed": [{"Id": one["Id"], "Message": "busy"} for one in Entries if one not in taken]}

    monkeypatch.setattr(queues._client, "send_message_batch", busy)
    queues.send(BATCH, ["a", "b", "c"])
    assert sent == [["a", "b", "c"], ["a"]]
    assert work.left(BATCH) == (3, 0)
