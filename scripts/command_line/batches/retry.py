"""Sends again what was set aside: the failed units of a batch, and what a dead-letter queue holds of a run."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import boto3

from scripts.command_line.account.deployment import RETRIES, Deployment
from scripts.command_line.account.objects import ThisObjectError, read
from scripts.command_line.account.waiting import OUTPUTS, messages_in
from scripts.command_line.batches.control import MOST_TRIES, need_batch_queue
from scripts.command_line.batches.look import unit_of
from scripts.command_line.terminal.command_error import CommandError, aws_errors_in_words
from userdata.batch.documents import MOST_BYTES, Batch, UnitFailed
from userdata.contract.layout import RunKeys
from userdata.contract.tries import Tries
from userdata.contract.work import UnitOfBatch, Work, dead_letters_of, read_work

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.type_defs import MessageTypeDef

# What SQS takes at once.
TOGETHER = 10
# Messages of other runs come back into the dead-letter queue after this.
HIDDEN_SECONDS = 60


@dataclass(frozen=True)
class Retried:
    """How many units, or whole runs, were sent again, and how many documents say of none where it lies."""

    sent: int
    unreadable: int = 0


def retry_units(session: boto3.Session, deployment: Deployment, run_id: str, batch: Batch) -> Retried:
    """Sends the messages of the failed units again, and then takes away what told of their failures.

    Whatever breaks off in between, a unit is sent twice rather than never, and is drawn once. Raises `CommandError`.
    """
    s3: S3Client = session.client("s3", config=RETRIES)
    sqs: SQSClient = session.client("sqs", config=RETRIES)
    queue, keys, bucket = need_batch_queue(deployment), RunKeys(run_id), deployment.bucket
    sent: set[Work] = set()
    unreadable = 0
    failed = _failed(s3, bucket, keys)
    while names := list(itertools.islice(failed, TOGETHER)):
        units = {name: _unit(s3, bucket, keys, name, batch) for name in names}
        found = {name: unit for name, unit in units.items() if unit}
        _send_anew(s3, bucket, sqs, queue, found.values())
        sent.update(found.values())
        with aws_errors_in_words(f"delete below {keys.units_failed} in {bucket}"):
            for name in found:
                s3.delete_object(Bucket=bucket, Key=keys.units_failed + name)
        unreadable += len(units) - len(found)
    count = len(sent) + _retry_letters(session, deployment, run_id, sent)
    if count:
        # So that its end is told once more.
        with aws_errors_in_words(f"delete {keys.batch_ended} in {bucket}"):
            s3.delete_object(Bucket=bucket, Key=keys.batch_ended)
    return Retried(count, unreadable)


def _failed(s3: S3Client, bucket: str, keys: RunKeys) -> Iterator[str]:
    with aws_errors_in_words(f"list {keys.units_failed} in {bucket}"):
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=keys.units_failed):
            yield from (entry["Key"].removeprefix(keys.units_failed) for entry in page.get("Contents", []))


def _unit(s3: S3Client, bucket: str, keys: RunKeys, name: str, batch: Batch) -> UnitOfBatch | None:
    place = unit_of(name, batch)
    if place is None:
        return None
    try:
        told = UnitFailed.from_json(read(s3, bucket, keys.units_failed + name, at_most=MOST_BYTES) or b"")
    except (ThisObjectError, ValueError):
        return None
    part, unit = place
    is_within = told.at + told.bytes <= batch.parts[part].bytes
    return UnitOfBatch(keys.run_id, part, unit, at=told.at, bytes=told.bytes) if is_within else None


def retry_whole(session: boto3.Session, deployment: Deployment, run_id: str) -> Retried:
    """Sends a run with a job of its own again, to the queue that it came from. Raises `CommandError`."""
    return Retried(_retry_letters(session, deployment, run_id, set()))


def _retry_letters(session: boto3.Session, deployment: Deployment, run_id: str, sent: set[Work]) -> int:
    """Takes the run's messages out of the dead-letter queues, and returns how many were sent again.

    Those of `sent` went out by their documents, and are not sent twice. What SQS itself has set aside has no document.
    """
    s3: S3Client = session.client("s3", config=RETRIES)
    sqs: SQSClient = session.client("sqs", config=RETRIES)
    count = 0
    for queue in (deployment.outputs[name] for name in OUTPUTS if name in deployment.outputs):
        name = dead_letters_of(queue.rpartition("/")[2])
        with aws_errors_in_words(f"look into the queue {name}"):
            dead = sqs.get_queue_url(QueueName=name)["QueueUrl"]
            for letters in _letters_of(sqs, dead, run_id, most=messages_in(session, dead)):
                again = {work for work, _ in letters} - sent
                _send_anew(s3, deployment.bucket, sqs, queue, again)
                entries: Any = [{"Id": str(n), "ReceiptHandle": receipt} for n, (_, receipt) in enumerate(letters)]
                sqs.delete_message_batch(QueueUrl=dead, Entries=entries)
                sent |= again
                count += len(again)
    return count


def _letters_of(sqs: SQSClient, dead: str, run_id: str, *, most: int) -> Iterator[list[tuple[Work, str]]]:
    """What the messages of the run ask for, with their receipts. `most` bounds how many messages are looked at.

    Those of other runs are hidden for a minute, because the next request would find them again.
    """
    looked_at = 0
    while looked_at < most:
        found = sqs.receive_message(
            QueueUrl=dead, MaxNumberOfMessages=TOGETHER, VisibilityTimeout=HIDDEN_SECONDS, WaitTimeSeconds=1
        ).get("Messages", [])
        if not found:
            return
        looked_at += len(found)
        works = [(_work(one), one["ReceiptHandle"]) for one in found]
        if mine := [(work, receipt) for work, receipt in works if work and work.run_id == run_id]:
            yield mine


def _work(message: MessageTypeDef) -> Work | None:
    try:
        return read_work(message["Body"])
    except ValueError:
        return None


def _send_anew(s3: S3Client, bucket: str, sqs: SQSClient, queue: str, works: Collection[Work]) -> None:
    """Sends the messages, once the notes of earlier failures are gone: with those, one failure more would be the last.

    Raises `CommandError`.
    """
    with aws_errors_in_words(f"delete notes of failures in {bucket}"):
        for work in works:
            s3.delete_object(Bucket=bucket, Key=Tries(work.to_body()).key)
    send_all(sqs, queue, [work.to_body() for work in works])


def send_all(sqs: SQSClient, queue: str, bodies: Sequence[str]) -> None:
    """Sends up to ten messages in one request. SQS may refuse some of them alone: they are sent again.

    Raises `CommandError`.
    """
    left = list(bodies)
    for _ in range(MOST_TRIES):
        if not left:
            return
        entries: Any = [{"Id": str(number), "MessageBody": body} for number, body in enumerate(left)]
        with aws_errors_in_words(f"send messages to {queue.rpartition('/')[2]}"):
            answer = sqs.send_message_batch(QueueUrl=queue, Entries=entries)
        left = [left[int(refused["Id"])] for refused in answer.get("Failed", [])]
    if left:
        raise CommandError(f"SQS refused {len(left)} of {len(bodies)} messages. What was sent goes on; try again.")
