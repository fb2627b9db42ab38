"""Hands a batch in: its units and `batch.json` into the bucket, once, and the message that releases them."""

from __future__ import annotations

import dataclasses
import hashlib
import io
from datetime import UTC, datetime, timedelta
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Any, BinaryIO

import botocore.exceptions

from scripts.command_line.account.objects import OTHERS_WROTE
from scripts.command_line.account.runs import read_batch
from scripts.command_line.batches.look import read_control
from scripts.command_line.terminal.command_error import CommandError, aws_errors_in_words
from userdata.batch.documents import MOST_PARTS, Batch, Control, Part
from userdata.batch.unit import MOST_LINE_BYTES, Unit
from userdata.contract.layout import RunKeys
from userdata.contract.work import Release

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient

# Nobody takes longer between the units and `batch.json`, so that older units without a place in it were left behind.
LEFT_BEHIND = timedelta(minutes=15)


@dataclasses.dataclass(frozen=True)
class Written:
    """A part's units in a file of this machine without a name, and its SHA-256 in hexadecimal."""

    file: BinaryIO
    part: Part
    sha256: str


def write_units(units: Iterable[Unit]) -> Written:
    """Writes the units, of which there is at least one."""
    file: Any = TemporaryFile()  # noqa: SIM115  # the upload reads it; the system deletes it when nobody has it open
    digest = hashlib.sha256()
    images = count = size = 0
    for count, unit in enumerate(units, 1):  # noqa: B007
        line = unit.to_line()
        file.write(line)
        digest.update(line)
        images += len(unit.images)
        size += len(line)
    file.seek(0)
    return Written(file, Part(images=images, units=count, bytes=size), digest.hexdigest())


@dataclasses.dataclass(frozen=True)
class Standing:
    """A batch in the bucket, the ETag of its document, and whether machines may draw it."""

    batch: Batch
    etag: str
    control: Control | None


class Bucket:
    """The results bucket, as far as batches are written into it."""

    def __init__(self, s3: S3Client, name: str) -> None:
        self.s3, self.name = s3, name

    def find(self, run_id: str) -> Standing | None:
        """The batch of that name, None also for a document that cannot be read."""
        found = read_batch(self.s3, self.name, run_id)
        return Standing(*found, read_control(self.s3, self.name, run_id)) if found else None

    def put_units(self, run_id: str, number: int, written: Written) -> None:
        """Writes the units of part `number` unless they are there. Raises `CommandError` where others are."""
        key = RunKeys(run_id).units(number)
        if self._put(key, written.file, sha256=written.sha256, IfNoneMatch="*"):
            return
        with aws_errors_in_words(f"look at {key} in {self.name}"):
            there = self.s3.head_object(Bucket=self.name, Key=key)
        if there["Metadata"].get("sha256") == written.sha256:
            return
        if datetime.now(UTC) - there["LastModified"] < LEFT_BEHIND:
            raise CommandError(
                f"Another command is just adding to {run_id}. Nothing was queued. Give the same command again: in a "
                f"moment, or, where that one was interrupted, in {LEFT_BEHIND.seconds // 60} minutes."
            )
        written.file.seek(0)
        if not self._put(key, written.file, sha256=written.sha256, IfMatch=there["ETag"]):
            raise _changed(run_id)

    def put_batch(self, batch: Batch, etag: str | None) -> None:
        """Writes `batch.json`: for the first time, or over that with the ETag. Raises `CommandError` over another."""
        key = RunKeys(batch.run_id).batch
        condition = {"IfMatch": etag} if etag else {"IfNoneMatch": "*"}
        if not self._put(key, batch.to_json(), ContentType="application/json", **condition):
            raise _changed(batch.run_id)

    def _put(self, key: str, body: Any, *, sha256: str = "", **options: Any) -> bool:
        """Whether the condition held."""
        metadata = {"sha256": sha256} if sha256 else {}
        with aws_errors_in_words(f"write {key} into {self.name}"):
            try:
                self.s3.put_object(Bucket=self.name, Key=key, Body=body, Metadata=metadata, **options)
            except botocore.exceptions.ClientError as error:
                if error.response["Error"]["Code"] not in OTHERS_WROTE:
                    raise
                return False
        return True

    def add_part(self, standing: Standing, written: Written, max_usd: float | None) -> Batch:
        """The batch with one more part, and with a new limit of dollars if there is one, written.

        Raises `CommandError` when it has as many parts as there may be.
        """
        batch = standing.batch
        if len(batch.parts) >= MOST_PARTS:
            raise CommandError(
                f"Batch {batch.run_id} has {MOST_PARTS:,} parts, and may have no more. Nothing was queued. Make a "
                "batch of its own of the file: leave --add out."
            )
        self.put_units(batch.run_id, len(batch.parts), written)
        limit = batch.max_usd if max_usd is None else max_usd
        added = batch.model_copy(update={"parts": [*batch.parts, written.part], "max_usd": limit})
        self.put_batch(added, standing.etag)
        key = RunKeys(batch.run_id).batch_ended
        with aws_errors_in_words(f"delete {key} in {self.name}"):  # so that the new end is told
            self.s3.delete_object(Bucket=self.name, Key=key)
        return added

    def units_of(self, batch: Batch) -> Iterable[Unit]:
        """All units of a batch, one after the other."""
        for number in range(len(batch.parts)):
            key = RunKeys(batch.run_id).units(number)
            with aws_errors_in_words(f"read {key} in {self.name}"):
                try:
                    lines = io.BufferedReader(self.s3.get_object(Bucket=self.name, Key=key)["Body"])  # type: ignore[type-var]
                    while line := lines.readline(MOST_LINE_BYTES + 1):
                        yield Unit.from_line(line)
                except ValueError as error:
                    raise CommandError(f"{key} in {self.name} cannot be used. {error}") from error

    def count(self, prefix: str) -> int:
        """How many objects begin so; a thousand a request."""
        with aws_errors_in_words(f"list {prefix} in {self.name}"):
            pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.name, Prefix=prefix)
            return sum(page["KeyCount"] for page in pages)


def release(sqs: SQSClient, queue: str, run_id: str, part: int) -> None:
    """Sends the message that releases a part. A worker sends the units' messages then, of what is not drawn yet."""
    with aws_errors_in_words(f"send the message of batch {run_id}"):
        sqs.send_message(QueueUrl=queue, MessageBody=Release(run_id, part).to_body())


def _changed(run_id: str) -> CommandError:
    return CommandError(
        f"Another command has written batch {run_id} at the same time, or its batch.json cannot be read. Nothing was "
        "queued. Give the same command again."
    )
