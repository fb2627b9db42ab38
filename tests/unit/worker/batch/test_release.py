"""A part of a batch is released in steps, with only what is missing, and with flat memory."""

from __future__ import annotations

import sys
import tracemalloc
from collections.abc import Callable
from typing import Any

import boto3
import pytest

from userdata.batch.unit import MOST_LINE_BYTES
from userdata.contract.layout import RunKeys
from userdata.contract.work import Release, UnitOfBatch, Work, read_work
from userdata.job.run_error import RunError
from userdata.worker.batch import release
from userdata.worker.batch.release import release_units
from userdata.worker.bucket.bucket import Bucket

RUN_ID = "many-0123456789"
KEYS = RunKeys(RUN_ID)


def put_lines(bucket: Bucket, lines: list[bytes], part: int = 0) -> None:
    boto3.client("s3").put_object(Bucket=bucket.name, Key=KEYS.units(part), Body=b"\n".join(lines))


def sent_for(bucket: Bucket, work: Release, leaves: Callable[[], bool] = lambda: False) -> list[Work]:
    sent: list[Work] = []

    def send(bodies: list[str]) -> None:
        assert 0 < len(bodies) <= 10
        sent.extend(map(read_work, bodies))

    release_units(bucket, work, send, leaves=leaves)
    return sent


def test_a_part_is_released_in_steps_without_what_is_drawn_or_has_failed(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(release, "MOST_UNITS", 30)
    monkeypatch.setattr(release, "PIECE_BYTES", 7)  # lines lie across pieces
    lines = [f"unit {number}".encode() * (1 + number % 3) for number in range(70)]
    put_lines(bucket, [*lines, b""], part=2)
    put_lines(bucket, lines[:1])
    for unit in (0, 29, 30, 69):
        bucket.put(KEYS.unit_done(2, unit), b"{}")
    bucket.put(KEYS.unit_failed(2, 31), b"{}")
    bucket.put(KEYS.unit_done(0, 1), b"{}")  # of another part
    bucket.put(f"{KEYS.units_done}2-odd.json", b"{}")  # of nobody

    steps: list[list[Work]] = []
    work: Work | None = Release(RUN_ID, 2)
    while isinstance(work, Release):
        steps.append(sent_for(bucket, work))
        work = steps[-1][-1]
    assert [len(step) for step in steps] == [29, 29, 9]
    found = [one for step in steps for one in step if isinstance(one, UnitOfBatch)]
    assert [one.unit for one in found] == [unit for unit in range(70) if unit not in (0, 29, 30, 31, 69)]
    content = b"\n".join([*lines, b""])
    assert all(content[one.at : one.at + one.bytes] == lines[one.unit] + b"\n" for one in found)


def test_a_release_gives_way_and_another_message_stands_for_the_rest(bucket: Bucket) -> None:
    put_lines(bucket, [b"{}"] * 25)
    *units, rest = sent_for(bucket, Release(RUN_ID, 0), leaves=lambda: True)
    assert [one.unit for one in units if isinstance(one, UnitOfBatch)] == list(range(10))
    assert rest == Release(RUN_ID, 0, unit=10, at=30)
    assert len(sent_for(bucket, rest)) == 15
    assert sent_for(bucket, Release(RUN_ID, 0, unit=25, at=10**6)) == []


def test_what_is_no_part_is_refused_with_a_sentence(bucket: Bucket) -> None:
    with pytest.raises(RunError, match=r"There is no runs/many-0123456789/units-4\.jsonl in the bucket"):
        sent_for(bucket, Release(RUN_ID, 4))
    put_lines(bucket, [b"{}", b"x" * (2 * release.PIECE_BYTES + MOST_LINE_BYTES)])
    with pytest.raises(RunError, match="has a line of more than 262,144 bytes at byte 3"):
        sent_for(bucket, Release(RUN_ID, 0))


def test_each_thousand_units_costs_two_lists_and_a_read_of_their_lines_alone(bucket: Bucket) -> None:
    lines = [b"x" * 99] * 2500
    put_lines(bucket, lines)
    asked: Any = bucket.counted_anew()
    assert len(sent_for(asked, Release(RUN_ID, 0, unit=1000, at=100_000))) == 1001
    assert (asked.requests.put, asked.requests.get) == (2, 1)


@pytest.mark.long
def test_a_hundred_thousand_units_are_released_with_flat_memory(bucket: Bucket) -> None:
    put_lines(bucket, [b'{"unit": 0, "images": []}' + b" " * 500] * 100_000)
    tracemalloc.start()
    tracemalloc.reset_peak()
    work: Work = Release(RUN_ID, 0)
    count = 0
    before = 0
    while isinstance(work, Release):
        work = sent_for(bucket, work)[-1]
        count += 1
        if count == 2:
            before = tracemalloc.get_traced_memory()[0]
    sys.stdout.write(f"{count} steps, at the peak {tracemalloc.get_traced_memory()[1] / 1e6:.1f} MB\n")
    # The emulated S3 is in this process too; a list of the units alone would take five times as much.
    assert tracemalloc.get_traced_memory()[0] - before < 4_000_000
    tracemalloc.stop()
    assert count == 100
