"""Says in the bucket whether machines may begin further units of a batch, and sends what makes them begin."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

import boto3
import botocore.exceptions

from scripts.command_line.account.deployment import RETRIES, Deployment
from scripts.command_line.account.objects import OTHERS_WROTE, TooLargeError, read_version
from scripts.command_line.account.runs import read_batch
from scripts.command_line.batches.around import QUEUE
from scripts.command_line.batches.progress import Progress
from scripts.command_line.terminal.command_error import CommandError, aws_errors_in_words
from userdata.batch.documents import MOST_BYTES, Batch, Control
from userdata.contract.layout import RunKeys
from userdata.contract.work import Release

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient

State = Literal["go", "paused", "cancelled", "capped"]
MOST_TRIES = 5


def need_can_change(progress: Progress, verb: str) -> None:
    """Raises `CommandError` for a batch that is done or cancelled, because there is nothing left to `verb`."""
    run = progress.run_id
    if progress.state == "done":
        failed = progress.counts.failed
        step = f"`sd retry {run}` tries the {failed} failed units again" if failed else f"`sd results {run}` fetches it"
        raise CommandError(f"{run} is done, so there is nothing to {verb}: {step}.")
    if progress.state == "cancelled":
        raise CommandError(
            f"{run} is cancelled for good, so there is nothing to {verb}. `sd results {run}` fetches what is drawn."
        )


def set_state(s3: S3Client, bucket: str, run_id: str, state: State, *, by: str, over: tuple[State, ...]) -> State:
    """Writes `state` if the present one is in `over`, and returns the present one afterwards.

    Another command or a machine may write at the same moment: whoever has not read the latest document is refused by
    S3, and reads again. A document that nobody can read counts as `go`. Raises `CommandError`.
    """
    key = RunKeys(run_id).control

    def change(found: bytes | None) -> bytes | None:
        if _state_in(found) not in over:
            return None
        return Control(state=state, by=by[:2000], at=datetime.now(UTC)).to_json()

    written = rewrite(s3, bucket, key, change)
    return _state_in(written)


def _state_in(content: bytes | None) -> State:
    try:
        return Control.from_json(content).state if content else "go"
    except ValueError:
        return "go"


def rewrite(s3: S3Client, bucket: str, key: str, change: Callable[[bytes | None], bytes | None]) -> bytes | None:
    """Writes what `change` makes of an object, None for none, and returns the content afterwards.

    `change` answers None where nothing is to be written. Raises `CommandError`, also where others write on and on.
    """
    for _ in range(MOST_TRIES):
        try:
            content, etag = read_version(s3, bucket, key, at_most=MOST_BYTES) or (None, "")
        except TooLargeError:
            raise CommandError(f"{key} in {bucket} is too large for what it is. Remove it, and try again.") from None
        new = change(content)
        if new is None:
            return content
        with aws_errors_in_words(f"write {key} into {bucket}"):
            try:
                if etag:
                    s3.put_object(Bucket=bucket, Key=key, Body=new, ContentType="application/json", IfMatch=etag)
                else:
                    s3.put_object(Bucket=bucket, Key=key, Body=new, ContentType="application/json", IfNoneMatch="*")
                return new
            except botocore.exceptions.ClientError as error:
                if error.response["Error"]["Code"] not in OTHERS_WROTE:
                    raise
    raise CommandError(f"Others change {key} at this moment, so nothing was changed. Try again in a minute.")


def raise_limit(s3: S3Client, bucket: str, run_id: str, max_usd: float) -> None:
    """Lets all machines of a batch cost `max_usd` together. Raises `CommandError`."""

    def change(found: bytes | None) -> bytes | None:
        try:
            batch = Batch.from_json(found or b"")
        except ValueError as error:
            raise CommandError(f"{RunKeys(run_id).batch} cannot be read: {error}") from None
        return batch.model_copy(update={"max_usd": max_usd}).to_json()

    rewrite(s3, bucket, RunKeys(run_id).batch, change)


def release(session: boto3.Session, deployment: Deployment, run_id: str) -> None:
    """Asks whoever receives it to send the messages of all units that are missing: one message for each part.

    Raises `CommandError`.
    """
    queue = need_batch_queue(deployment)
    sqs: SQSClient = session.client("sqs", config=RETRIES)
    found = read_batch(session.client("s3", config=RETRIES), deployment.bucket, run_id)
    parts = len(found[0].parts) if found else 0
    with aws_errors_in_words(f"send the messages of {run_id}"):
        for part in range(parts):
            sqs.send_message(QueueUrl=queue, MessageBody=Release(run_id, part).to_body())


def need_batch_queue(deployment: Deployment) -> str:
    """The address of the batch queue. Raises `CommandError` where the stack has none."""
    if QUEUE not in deployment.outputs:
        raise CommandError(
            deployment.trouble
            or f"{deployment.stack} was deployed by an earlier version, and has no queue. `sd deploy` adds it; the "
            "disk stays."
        )
    return deployment.outputs[QUEUE]
