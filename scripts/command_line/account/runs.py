"""The runs in a results bucket."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, TypeVar

from pydantic import TypeAdapter

from scripts.command_line.account.objects import ThisObjectError, read_if_possible, read_version
from scripts.command_line.terminal.command_error import CommandError, aws_errors_in_words
from userdata.batch.documents import MOST_BYTES, Batch
from userdata.bill.cost import Cost
from userdata.contract import outside
from userdata.contract.layout import RUNS, RunKeys
from userdata.contract.status import MOST_BYTES as STATUS_BYTES
from userdata.contract.status import Status, utc_text

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

Found = TypeVar("Found")


@cache
def status_adapter() -> TypeAdapter[Status]:
    """Made when it is used, because that takes longer than to import this module."""
    return TypeAdapter(Status)


@dataclass(frozen=True)
class Run:
    """One run; `status` is None before the first status is written, and when it cannot be read.

    `is_interrupted` says that it is not done, and that no machine works on it; `waits` that its job is there, and that
    no machine has begun it. A batch has no status, but the document `batch`. `unread` is a sentence on why neither can
    be read, where they are there.
    """

    run_id: str
    status: Status | None
    is_interrupted: bool = False
    waits: bool = False
    batch: Batch | None = None
    unread: str = ""

    @property
    def state(self) -> str:
        """The phase, `interrupted`, `waits` or `unknown`."""
        if self.is_interrupted:
            return "interrupted"
        return self.status.phase if self.status else "waits" if self.waits else "unknown"

    @property
    def done(self) -> str:
        """How many images of how many there are; `-` while unknown."""
        return f"{self.status.images_done} of {self.status.images_total}" if self.status else "-"

    @property
    def cost(self) -> Cost | None:
        """What it has cost, where that does not stand in its report."""
        return None

    @property
    def told(self) -> str:
        """What else a list says of it, in a sentence; empty for nothing."""
        if self.state != "unknown":
            return ""
        return self.unread or "what tells how far it is is not there."

    @property
    def started_at(self) -> str:
        """UTC, ISO 8601; empty while unknown. Of a batch it is when somebody asked for it."""
        if self.batch:
            return utc_text(self.batch.asked_at)
        return self.status.started_at if self.status else ""


def read_status(s3: S3Client, bucket: str, run_id: str) -> Status | None:
    """The status of a run, or None while there is none. Raises `CommandError` when the bucket cannot be read."""
    return _read_document(s3, bucket, RunKeys(run_id).status, _status_of, at_most=STATUS_BYTES)[0]


def read_run(s3: S3Client, bucket: str, run_id: str) -> Run:
    """A run: one request, and up to two more for one without a status. Raises `CommandError` as `read_status` does."""
    keys = RunKeys(run_id)
    status, status_unread = _read_document(s3, bucket, keys.status, _status_of, at_most=STATUS_BYTES)
    if status:
        return Run(run_id, status)
    batch, batch_unread = _read_document(s3, bucket, keys.batch, _batch_of, at_most=MOST_BYTES)
    if batch:
        return Run(run_id, None, batch=batch[0])
    unread = status_unread or batch_unread
    waits = not unread and read_if_possible(s3, bucket, keys.job) is not None
    return Run(run_id, None, waits=waits, unread=unread)


def read_batch(s3: S3Client, bucket: str, run_id: str) -> tuple[Batch, str] | None:
    """What a batch is made of, with the document's ETag; None for no batch, and for a document that cannot be read."""
    return _read_document(s3, bucket, RunKeys(run_id).batch, _batch_of, at_most=MOST_BYTES)[0]


def _read_document(
    s3: S3Client,
    bucket: str,
    key: str,
    parse: Callable[[bytes, str], Found],
    *,
    at_most: int = outside.MOST_BYTES,
) -> tuple[Found | None, str]:
    """What `parse` makes of an object and its ETag, or None and a sentence on why an object that is there is not read.

    Neither for an object that is not there. Raises `CommandError` when the bucket cannot be read.
    """
    try:
        found = read_version(s3, bucket, key, at_most=at_most)
        return (parse(*found) if found else None), ""
    except ThisObjectError as error:
        return None, str(error)  # of a right that is missing it says which
    except ValueError:  # ValidationError is one
        return None, f"{key} is broken, or a later version has written it."


def _status_of(body: bytes, _: str) -> Status:
    return status_adapter().validate_python(outside.read_json(body))


def _batch_of(body: bytes, etag: str) -> tuple[Batch, str]:
    return Batch.from_json(body), etag


def list_runs(s3: S3Client, bucket: str) -> list[Run]:
    """Every run of the bucket, the latest last. Raises `CommandError` when the bucket cannot be read."""
    with ThreadPoolExecutor(8) as pool:
        runs = list(pool.map(lambda name: read_run(s3, bucket, name), run_names(s3, bucket)))
    return sorted(runs, key=lambda run: (run.started_at, run.run_id))


def list_batches(s3: S3Client, bucket: str) -> list[Run]:
    """The batches of the bucket, the latest last; the runs that are none are not read. Raises `CommandError`."""
    names = run_names(s3, bucket)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda name: read_batch(s3, bucket, name), names))
    batches = [Run(name, None, batch=one[0]) for name, one in zip(names, found, strict=True) if one]
    return sorted(batches, key=lambda run: (run.started_at, run.run_id))


def choose_run(s3: S3Client, bucket: str, name: str) -> Run:
    """The one run of that name, or of that beginning of a name. Raises `CommandError`.

    No other run is read, because a bucket may hold thousands.
    """
    (chosen,) = choose_runs([Run(one, None) for one in run_names(s3, bucket)], [name])
    return read_run(s3, bucket, chosen.run_id)


def run_names(s3: S3Client, bucket: str) -> list[str]:
    """The names of the runs, of which none is read. Raises `CommandError` when the bucket cannot be listed."""
    with aws_errors_in_words(f"list the runs in {bucket}"):
        pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=RUNS, Delimiter="/")
        prefixes = [entry["Prefix"] for page in pages for entry in page.get("CommonPrefixes", [])]
    return [prefix.removeprefix(RUNS).rstrip("/") for prefix in prefixes]


def choose_runs(runs: list[Run], wanted: list[str]) -> list[Run]:
    """The runs that were named, by whole names or by beginnings that one run alone has; all runs for no name.

    Raises `CommandError` for a name that fits no run, or more than one.
    """
    if not wanted:
        return runs
    chosen = []
    for name in wanted:
        found = [run for run in runs if run.run_id == name] or [
            run for run in runs if name and run.run_id.startswith(name)
        ]
        if len(found) != 1:
            known = ", ".join(run.run_id for run in (found or runs)) or "none yet"
            problem = "More than one run begins with" if found else "There is no run"
            raise CommandError(f"{problem} {name or repr(name)}. The runs are: {known}.")
        chosen.append(found[0])
    return chosen
