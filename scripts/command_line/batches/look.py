"""Looks at a batch, again and again, with as few requests as that takes, and in flat memory.

One look reads `batch.json` and `control.json`, lists `units/`, `failed/` and `machines/` (one request for 1,000 objects
of each), and reads the machines' documents that have changed. It asks EC2 once for 200 machines, and the batch queue
once. For 100,000 images in 1,600 units that are 6 requests to the bucket and those of the machines that worked since.
"""

from __future__ import annotations

import email.utils
import heapq
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from itertools import groupby
from typing import TYPE_CHECKING, Any

from scripts.command_line.account.objects import ThisObjectError, read
from scripts.command_line.account.runs import read_batch
from scripts.command_line.batches.progress import RECENT, Counts, Machine, Progress
from scripts.command_line.terminal.command_error import CommandError, aws_errors_in_words
from userdata.batch.documents import MOST_BYTES, Batch, Control, MachineShare, UnitFailed
from userdata.contract.layout import RunKeys

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import ObjectTypeDef

# What somebody else writes into the bucket costs a bounded time.
MOST_MACHINES = 2000
_UNIT = re.compile(r"(?P<part>\d{1,4})-(?P<unit>\d{6})\.json")
States = Callable[[list[str]], dict[str, str]]


class Looker:
    """Looks at the batch `run_id`. `states` answers EC2's words for the states of the instances that it knows."""

    def __init__(self, s3: S3Client, bucket: str, run_id: str, *, states: States = lambda ids: {}) -> None:
        self._s3 = s3
        self._bucket = bucket
        self._keys = RunKeys(run_id)
        self._states = states
        # What was read of each machine, by its key, with the ETag.
        self._shares: dict[str, tuple[str, MachineShare | None]] = {}
        self._reasons: dict[str, str] = {}
        self._now = datetime.now(UTC)

    def look(self) -> Progress:
        """How far it is. Raises `CommandError` where there is no such batch, and where the bucket cannot be read."""
        found = read_batch(self._s3, self._bucket, self._keys.run_id)
        if found is None:
            raise CommandError(f"{self._keys.batch} in {self._bucket} is no batch that can be read.")
        batch, _ = found
        # The machines before the units: what a machine has told of is drawn, so that the units may only be more.
        shares = self._read_machines()
        counts = self._count(batch)
        told = [share for share in shares if share]
        states = self._states([share.instance_id for share in told])
        machines = [Machine(share, states.get(share.instance_id, "")) for share in told]
        machines.sort(key=lambda machine: (machine.share.updated_at, machine.share.instance_id), reverse=True)
        return Progress(
            run_id=self._keys.run_id,
            batch=batch,
            control=read_control(self._s3, self._bucket, self._keys.run_id),
            counts=counts,
            machines=tuple(machines),
            now=self._now,
            unreadable=len(shares) - len(told),
            failure=self._why_failed(counts.first_failed),
        )

    def _read_machines(self) -> list[MachineShare | None]:
        """What each machine told, None for a document that cannot be read."""
        listed = {}
        for entry in self._list(self._keys.machines):
            listed[entry["Key"]] = entry["ETag"]
            if len(listed) >= MOST_MACHINES:
                break
        changed = [key for key, etag in listed.items() if self._shares.get(key, ("", None))[0] != etag]
        with ThreadPoolExecutor(8) as pool:
            read_now = dict(zip(changed, pool.map(self._read_machine, changed), strict=True))
        self._shares = {
            key: (etag, read_now[key] if key in read_now else self._shares[key][1]) for key, etag in listed.items()
        }
        return [share for _, share in self._shares.values()]

    def _read_machine(self, key: str) -> MachineShare | None:
        try:
            share = MachineShare.from_json(read(self._s3, self._bucket, key, at_most=MOST_BYTES) or b"")
        except (ThisObjectError, ValueError):
            return None
        return share if key == self._keys.machine(share.instance_id) else None

    def _count(self, batch: Batch) -> Counts:
        """Counts the units, and keeps no list of them. One that failed and was drawn later is drawn."""
        drawn = ((name, entry["LastModified"]) for name, entry in self._units(batch, self._keys.units_done))
        aside = ((name, None) for name, _ in self._units(batch, self._keys.units_failed))
        done = recent = failed = 0
        first_failed = ""
        for name, found in groupby(heapq.merge(drawn, aside, key=lambda one: one[0]), key=lambda one: one[0]):
            if drawn_at := next((at for _, at in found if at), None):
                done += 1
                recent += self._now - drawn_at < RECENT
            else:
                failed += 1
                first_failed = first_failed or name
        return Counts(done=done, recent=recent, failed=failed, first_failed=first_failed)

    def _why_failed(self, name: str) -> str:
        if name and name not in self._reasons:
            try:
                told = read(self._s3, self._bucket, self._keys.units_failed + name, at_most=MOST_BYTES)
                self._reasons[name] = UnitFailed.from_json(told or b"").reason
            except (ThisObjectError, ValueError):
                self._reasons[name] = ""
        return self._reasons.get(name, "")

    def _units(self, batch: Batch, prefix: str) -> Iterator[tuple[str, ObjectTypeDef]]:
        """The objects whose names are those of units of the batch, in the names' order, which S3 keeps."""
        for entry in self._list(prefix):
            name = entry["Key"].removeprefix(prefix)
            if unit_of(name, batch):
                yield name, entry

    def _list(self, prefix: str) -> Iterator[ObjectTypeDef]:
        with aws_errors_in_words(f"list {prefix} in {self._bucket}"):
            for page in self._s3.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=prefix):
                self._now = _time_of(page) or self._now
                yield from page.get("Contents", [])


def unit_of(name: str, batch: Batch) -> tuple[int, int] | None:
    """The part and the unit that an object's name is about, None for a name that is none of the batch's."""
    found = _UNIT.fullmatch(name)
    if not found:
        return None
    part, unit = int(found["part"]), int(found["unit"])
    is_one = part < len(batch.parts) and unit < batch.parts[part].units and name == f"{part}-{unit:06}.json"
    return (part, unit) if is_one else None


def read_control(s3: S3Client, bucket: str, run_id: str) -> Control | None:
    """Whether machines may begin further units; None without the document.

    One that cannot be read is a pause, because machines then begin none. Raises `CommandError`.
    """
    key = RunKeys(run_id).control
    try:
        found = read(s3, bucket, key, at_most=MOST_BYTES)
        return None if found is None else Control.from_json(found)
    except (ThisObjectError, ValueError):
        why = f"{key} cannot be read, so that no machine begins a unit."
        return Control(state="paused", why=why, by="whoever wrote that", at=datetime.now(UTC))


def _time_of(answer: Any) -> datetime | None:
    """S3's clock, because this computer's may be off."""
    text = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date", "")
    try:
        return email.utils.parsedate_to_datetime(text)
    except (TypeError, ValueError):
        return None
