"""That a batch has ended is seen by one machine, when nothing is left, and again when more was asked for."""

from __future__ import annotations

import boto3

from tests.unit.worker.batch.test_spending import BATCH, KEYS
from userdata.batch.documents import BatchEnded, Part
from userdata.worker.batch.endings import UnitsLeftError, end_if_all_is_done
from userdata.worker.bucket.bucket import Bucket


def test_a_batch_ends_when_nothing_is_left_and_again_after_more_was_asked_for(bucket: Bucket) -> None:
    def look() -> tuple[int, int] | str | None:
        try:
            found = end_if_all_is_done(bucket, KEYS.run_id)
        except UnitsLeftError:
            return "units are left"
        return found and (found[1].units_done, found[1].units_failed)

    def say_parts(*units: int) -> None:
        parts = [Part(images=1, units=count, bytes=1) for count in units]
        bucket.put(KEYS.batch, BATCH.model_copy(update={"parts": parts}).to_json())

    assert look() is None, "there is no batch"
    say_parts(3)
    for unit in (0, 2):
        bucket.put(KEYS.unit_done(0, unit), b"{}")
    assert look() == "units are left"
    assert bucket.get(KEYS.batch_ended) is None
    for unit in (1, 2):  # the second one was drawn after all
        bucket.put(KEYS.unit_failed(0, unit), b"{}")
    assert [look(), look()] == [(2, 1), None]
    assert BatchEnded.from_json(bucket.get(KEYS.batch_ended) or b"").units_failed == 1
    boto3.client("s3").delete_object(Bucket=bucket.name, Key=KEYS.unit_failed(0, 1))  # as `sd retry` does
    assert look() == "units are left"
    bucket.put(KEYS.unit_done(0, 1), b"{}")
    assert [look(), look()] == [(3, 0), None]
    say_parts(3, 1)
    assert look() == "units are left"
    bucket.put(KEYS.unit_done(1, 0), b"{}")
    assert [look(), look()] == [(4, 0), None]
