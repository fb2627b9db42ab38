"""Many workers at one batch, under faults: nothing is lost, and nothing is there twice."""

from __future__ import annotations

import collections
import dataclasses
import itertools
import random
import resource
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any, ClassVar, Self

import boto3
import pytest
from botocore.exceptions import EndpointConnectionError, ReadTimeoutError
from moto.sqs.models import SQSBackend

from tests.unit.worker.queue.conftest import PREFIX, RUN_ID, Work, units_of
from tests.unit.worker.queue.test_serve import NOTHING
from tests.unit.worker.stand_in import StandIn, picture_of, pixels_of
from userdata.batch.documents import BatchEnded
from userdata.batch.unit import Unit
from userdata.contract.layout import RunKeys
from userdata.contract.patience import Patience
from userdata.contract.work import BATCH, Release
from userdata.record.image_metadata import ImageRecord, record_in_png
from userdata.worker.batch import share, unit_attempt
from userdata.worker.between.task import Task
from userdata.worker.bucket.bucket import Bucket
from userdata.worker.loaded.loaded import Loaded
from userdata.worker.queue import lease, queues, receiver, serve
from userdata.worker.queue.queues import Queues
from userdata.worker.queue.serve import Serving

KEYS = RunKeys(RUN_ID)
# Of moto, whose lists are not made for several threads.
LOCK = threading.RLock()
PATIENT = Patience(attempts=6, sleep=lambda _seconds: None)
# In how many of a hundred requests.
TIMES_OUT_BEFORE, TIMES_OUT_AFTER = 3, 3
POISON = 5


class Faults:
    """Seeded faults of one worker's requests. After its last request a worker is dead: nothing of it reaches AWS."""

    counts: ClassVar[collections.Counter[str]] = collections.Counter()

    def __init__(self, seed: int, stop: threading.Event) -> None:
        self._chance = random.Random(seed)
        self._stop = stop
        # The first workers die soon, so that a short form sees it too.
        self._left = int(self._chance.expovariate(1 / (30 if seed % 1000 < 3 else 250)))

    def wrap(self, client: Any) -> Any:
        return Faulty(client, self)

    def call(self, name: str, method: Any, given: dict[str, Any]) -> Any:
        hundred = self._chance.random() * 100
        with LOCK:
            self._left -= 1
            if self._left < 0:
                self.counts["killed workers"] += self._left == -1
                self._stop.set()
                raise EndpointConnectionError(endpoint_url="https://gone")
            if hundred < TIMES_OUT_BEFORE:
                self.counts[f"{name}: times out before its effect"] += 1
                raise ReadTimeoutError(endpoint_url="https://slow")
            answer = method(**given)
        if name == "receive_message" and not answer.get("Messages"):
            time.sleep(0.05)
        if hundred < TIMES_OUT_BEFORE + TIMES_OUT_AFTER:
            self.counts[f"{name}: times out after its effect"] += 1
            raise ReadTimeoutError(endpoint_url="https://slow")
        return answer


class Faulty:
    """A client of boto3 whose requests go through `faults`."""

    def __init__(self, client: Any, faults: Faults) -> None:
        self._client = client
        self._faults = faults

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._client, name)

        def call(**given: Any) -> Any:
            if name == "receive_message":
                given["WaitTimeSeconds"] = 0
            return self._faults.call(name, method, given)

        return call


class OffClock(datetime):
    """A clock that is off by up to an hour, by another time whenever it is asked."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> Self:
        return super().now(tz) + timedelta(seconds=random.Random(time.monotonic()).uniform(-3600, 3600))


class Field:
    """Workers at the batch of `units`, each on a machine of its own, which is replaced when it dies."""

    def __init__(self, work: Work, units: Sequence[Unit], *, seed: int) -> None:
        self._work = work
        self._units = units
        self._seed = seed
        self._numbers = itertools.count()
        self.drawings: list[StandIn] = []

    def release(self) -> None:
        """By one message, and every tenth unit, and the release, by a second one."""
        found = self._work.put_batch(self._units)
        chance = random.Random(self._seed)
        twice = [unit for unit in found if chance.random() < 0.1]
        Faults.counts["messages sent twice"] = len(twice) + 1
        self._work.send_work(Release(RUN_ID, 0), Release(RUN_ID, 0), *twice)

    def work_until_done(self, *, workers: int, seconds: float, loaded: Loaded | None = None) -> None:
        threads = [threading.Thread(target=self._work_on, args=(loaded, seconds)) for _ in range(workers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert self._is_over(), f"not done after {seconds} s"

    def _is_over(self) -> bool:
        with LOCK:
            return self._work.bucket.get(KEYS.batch_ended) is not None and self._work.left(BATCH) == NOTHING

    def _work_on(self, loaded: Loaded | None, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not self._is_over() and time.monotonic() < deadline:
            number, stop = next(self._numbers), threading.Event()
            faults = Faults(self._seed * 1000 + number, stop)
            asks = Queues(PREFIX, patience=PATIENT)
            asks._client = faults.wrap(asks._client)
            drawing = StandIn(before=_poisoned)
            self.drawings.append(drawing)
            own = self._work.settings.state_directory / str(number)
            machine = dataclasses.replace(self._work.settings, state_directory=own, instance_id=f"i-{number}")
            Serving(
                machine,
                self._work.parameters,
                stop,
                queues=asks,
                bucket=Bucket(self._work.bucket.name, patience=PATIENT, client=faults.wrap(boto3.client("s3"))),
                loaded=loaded or drawing,
                uses=[],
                idle_seconds=1,
            ).serve()

    def check(self, *, poison: int | None) -> None:
        """Each image is there once, as it would be without faults."""
        pages = boto3.client("s3").get_paginator("list_object_versions").paginate(Bucket=self._work.bucket.name)
        versions = collections.Counter(found["Key"] for page in pages for found in page.get("Versions", []))
        for unit in self._units:
            if unit.unit == poison:
                assert versions[KEYS.unit_done(0, unit.unit)] == 0
                continue
            assert versions[KEYS.unit_done(0, unit.unit)] == 1
            for request in unit.requests()[1]:
                assert versions[KEYS.image(request.index)] == 1
                png = self._work.bucket.get(KEYS.image(request.index)) or b""
                record = ImageRecord.from_json(self._work.bucket.get(KEYS.image_metadata(request.index)) or b"")
                assert record == record_in_png(png), "the record of another machine's image"
                assert record.request == request
                assert pixels_of(png) == picture_of(request).tobytes()
                assert record.drawn_with
                assert record.drawn_with.indices == [image.index for image in unit.images]
        ended = BatchEnded.from_json(self._work.bucket.get(KEYS.batch_ended) or b"")
        failed = int(poison is not None)
        assert (ended.units_done, ended.units_failed) == (len(self._units) - failed, failed)


def _poisoned(task: Task) -> None:
    if task.missing[0].index // 2 == POISON:
        Faults.counts["a poisoned unit is drawn"] += 1
        raise RuntimeError("the card sees ghosts")


@pytest.fixture
def _quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Seconds in place of minutes."""
    for module in (queues, lease):
        monkeypatch.setattr(module, "VISIBILITY_SECONDS", 2)
    usual = lease.Lease.__init__.__kwdefaults__
    assert usual
    monkeypatch.setitem(usual, "every_seconds", 0.5)
    monkeypatch.setattr(serve, "REST_SECONDS", 1)
    monkeypatch.setattr(receiver, "AGAIN_SECONDS", 0.01)
    for module in (share, unit_attempt):
        monkeypatch.setattr(module, "datetime", OffClock)
    # moto looks at each message of the queue for each that is sent or received, which takes seconds where two thousand
    # wait, most of them for the time. None is as old as it looks for.
    monkeypatch.setattr(SQSBackend, "is_message_valid_based_on_retention_period", lambda *_: True)
    monkeypatch.setattr("moto.sqs.models.unix_time_millis", lambda: time.time() * 1000)
    Faults.counts.clear()
    yield
    for what, count in sorted(Faults.counts.items()):
        sys.stdout.write(f"{count:6} {what}\n")


@pytest.mark.usefixtures("_quick")
@pytest.mark.parametrize(
    ("units", "workers", "seconds"),
    [(30, 4, 120), pytest.param(2000, 8, 3000, marks=[pytest.mark.long, pytest.mark.timeout(3600)])],
)
def test_each_image_is_there_once_whatever_happens(work: Work, units: int, workers: int, seconds: float) -> None:
    field = Field(work, units_of(units), seed=1)
    field.release()
    field.work_until_done(workers=workers, seconds=seconds)
    field.check(poison=POISON)
    letters = work.dead(BATCH)
    assert letters
    assert {reason.count("the card sees ghosts") for _, reason in letters} == {1}
    drawn = collections.Counter(index for drawing in field.drawings for batch in drawing.drawn for index in batch)
    Faults.counts["images drawn again"] = sum(count - 1 for count in drawn.values())
    assert sum(Faults.counts.values()) > units
    if units < 1000:
        return  # which faults so few requests meet is left to chance, and to the threads
    assert Faults.counts["killed workers"] > units / 60
    assert Faults.counts["put_object: times out after its effect"] > units / 60
    assert Faults.counts["delete_message: times out before its effect"]


@pytest.mark.long
@pytest.mark.usefixtures("_quick")
def test_what_the_model_draws_under_faults_is_what_it_draws_without(work: Work) -> None:
    units = units_of(6)
    loaded = Loaded(stays=True)
    work.put_batch(units)
    work.send_work(Release(RUN_ID, 0))
    work.serve(loaded=loaded)
    undisturbed = [_of_an_image(work.bucket, index) for index in range(12)]
    for name in boto3.client("s3").list_objects_v2(Bucket=work.bucket.name)["Contents"]:
        versions = boto3.client("s3").list_object_versions(Bucket=work.bucket.name, Prefix=name["Key"])["Versions"]
        for one in versions:
            boto3.client("s3").delete_object(Bucket=work.bucket.name, Key=name["Key"], VersionId=one["VersionId"])
    field = Field(work, units, seed=3)
    field.release()
    field.work_until_done(workers=1, seconds=120, loaded=loaded)
    assert [_of_an_image(work.bucket, index) for index in range(12)] == undisturbed
    assert Faults.counts["killed workers"]


def _of_an_image(bucket: Bucket, index: int) -> tuple[bytes, dict[str, Any]]:
    """Its pixels, and what its record says but times."""
    png = bucket.get(KEYS.image(index)) or b""
    return pixels_of(png), record_in_png(png).model_dump(exclude={"created_at", "seconds"})


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_a_hundred_thousand_images_are_drawn_with_flat_memory(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    """The emulated S3 would keep the images in this process; all else of a batch is there."""
    count = itertools.count()
    sizes: list[float] = []

    def sink(_bucket: Bucket, _record: tuple[str, bytes], _image: tuple[str, bytes]) -> None:
        if next(count) % 10_000 == 9_999:
            sizes.append(int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 1e6)

    monkeypatch.setattr(Bucket, "put_picture", sink)
    work.put_batch(units_of(100_000 // 50, images=50))
    work.send_work(Release(RUN_ID, 0))
    ended: list[BatchEnded] = []
    drawing = StandIn()
    monkeypatch.setattr(drawing, "drawn", collections.deque(maxlen=1))
    work.serve(loaded=drawing, batch_ended=lambda _batch, end: ended.append(end))
    sys.stdout.write(
        f"{next(count):,} images; MB in memory after each 10,000: {', '.join(f'{one:.0f}' for one in sizes)}\n"
    )
    assert [(end.units_done, end.units_failed) for end in ended] == [(2000, 0)]
    assert sizes[-1] - sizes[1] < 40
