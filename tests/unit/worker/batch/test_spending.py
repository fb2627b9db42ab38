"""The limit of dollars holds for all machines of a batch together."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from userdata.batch.documents import Batch, Control, MachineShare, Part
from userdata.contract.layout import RunKeys
from userdata.worker.batch.control import cap, may_begin
from userdata.worker.batch.spending import BatchSpending
from userdata.worker.bucket.bucket import Bucket

KEYS = RunKeys("many-0123456789")
OWN = "i-own"
BATCH = Batch(
    run_id=KEYS.run_id,
    title="many",
    by="me",
    asked_at=datetime.now(UTC),
    model="tiny",
    parts=[Part(images=1, units=1, bytes=1)],
    max_usd=2,
)


def share_of(instance_id: str, usd: float | None, *, minutes_ago: float = 0) -> MachineShare:
    """A machine at $6 an hour, a tenth of a dollar a minute."""
    now = datetime.now(UTC)
    return MachineShare(
        instance_id=instance_id,
        instance_type="g6.xlarge",
        life_cycle="spot",
        began=now,
        updated_at=now - timedelta(minutes=minutes_ago),
        units=1,
        images=1,
        seconds=1,
        usd=None if usd is None else usd / 2,
        usd_at_most=usd,
        usd_per_hour=None if usd is None else 6,
    )


class Field:
    def __init__(self, bucket: Bucket) -> None:
        self.bucket = bucket
        self.now = 0.0
        self.spending = BatchSpending(bucket, KEYS, instance_id=OWN, clock=lambda: self.now)
        bucket.put(KEYS.batch, BATCH.to_json())
        bucket.put(KEYS.machine(OWN), share_of(OWN, 99).to_json())  # what it tells of itself counts from its memory

    def tell(self, *shares: MachineShare) -> None:
        for share in shares:
            self.bucket.put(KEYS.machine(share.instance_id), share.to_json())

    def why_not(self, own: float | None) -> str | None:
        return self.spending.why_not(share_of(OWN, own))


@pytest.fixture
def field(bucket: Bucket) -> Field:
    return Field(bucket)


def test_what_all_machines_can_have_cost_counts_up_to_now(field: Field) -> None:
    field.tell(share_of("i-1", 0.5), share_of("i-2", 0.5, minutes_ago=3))
    field.bucket.put(KEYS.machine("i-odd"), b"[]")
    assert field.why_not(0.6) is None  # 0.6 + 0.5 + 0.5 + 0.3 = 1.9
    why = field.why_not(0.75)
    assert why
    # Two machines cost a cent more in three seconds, which are over soon.
    assert re.search(r"may cost \$2, and its machines can have cost up to \$2\.(0[5-9]|[12])", why)


def test_a_machine_that_went_long_ago_does_not_count_on(field: Field) -> None:
    field.tell(share_of("i-1", 0.5, minutes_ago=600))
    field.tell(share_of("i-2", 0.1, minutes_ago=-30))  # whose clock is off
    assert field.why_not(0.3) is None  # 0.3 + 0.5 + ten minutes, and 0.1
    assert field.why_not(0.45)


def test_the_next_unit_counts_as_the_longest_one(field: Field) -> None:
    assert field.why_not(1.5) is None
    field.spending.unit_took(240)
    field.spending.unit_took(10)
    assert field.why_not(1.5) is None
    assert field.why_not(1.7)


def test_the_others_are_read_once_a_minute_and_less_often_the_more_there_are(field: Field) -> None:
    def requests_at(now: float) -> int:
        before = field.bucket.requests
        field.now = now
        field.why_not(0)
        return field.bucket.requests.get + field.bucket.requests.put - before.get - before.put

    assert [requests_at(now) for now in (0, 1, 59, 61, 62)] == [2, 0, 0, 2, 0]
    field.tell(*(share_of(f"i-{number}", 0) for number in range(39)))
    assert [requests_at(now) for now in (122, 201, 203)] == [41, 0, 41]


def test_no_unit_is_begun_with_a_limit_and_without_a_price(field: Field) -> None:
    assert "Deploy with the price: UsdPerHour" in (field.why_not(None) or "")
    field.bucket.put(KEYS.batch, BATCH.model_copy(update={"max_usd": None}).to_json())
    field.now = 61
    assert field.why_not(None) is None
    assert field.why_not(1000) is None


def test_the_end_at_the_limit_is_written_once_and_never_over_what_a_person_says(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    def say(state: Any) -> bytes:
        document = Control(state=state, by="me", at=datetime.now(UTC)).to_json()
        bucket.put(KEYS.control, document)
        return document

    assert may_begin(bucket, KEYS)
    cap(bucket, KEYS, "The limit is reached.", by=OWN)
    assert not may_begin(bucket, KEYS)
    assert Control.from_json(bucket.get(KEYS.control) or b"").why == "The limit is reached."
    paused = say("paused")
    cap(bucket, KEYS, "The limit is reached.", by=OWN)
    assert bucket.get(KEYS.control) == paused
    say("go")
    read = Bucket.get_with_tag

    def read_too_early(self: Bucket, key: str) -> Any:
        found = read(self, key)
        say("cancelled")
        return found

    monkeypatch.setattr(Bucket, "get_with_tag", read_too_early)
    cap(bucket, KEYS, "The limit is reached.", by=OWN)
    monkeypatch.undo()
    assert Control.from_json(bucket.get(KEYS.control) or b"").state == "cancelled"
