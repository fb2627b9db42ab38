"""Mails that a batch has ended, where somebody has asked for that."""

from __future__ import annotations

import logging
from collections.abc import Mapping

import boto3

from userdata.batch.documents import Batch, BatchEnded, MachineShare
from userdata.contract.layout import RunKeys
from userdata.contract.notice import TOPIC
from userdata.worker.batch.batches import TellEnded
from userdata.worker.bucket.bucket import Bucket

logger = logging.getLogger(__name__)


def mail_that_it_ended(parameters: Mapping[str, str], bucket: Bucket) -> TellEnded:
    """What mails by the topic of the deployed `parameters`; without one it does nothing. Raises botocore's errors."""
    topic = parameters.get(TOPIC)

    def mail(batch: Batch, ended: BatchEnded) -> None:
        if topic:
            boto3.client("sns").publish(
                TopicArn=topic, Subject=f"sd-on-ec2: {batch.run_id}", Message=_sentence(bucket, batch, ended)
            )

    return mail


def _sentence(bucket: Bucket, batch: Batch, ended: BatchEnded) -> str:
    failed = f", and {ended.units_failed:,} failed" if ended.units_failed else ""
    return (
        f"The batch {batch.run_id} has ended: {ended.units_done:,} of its {batch.units:,} units ({batch.images:,} "
        f"images in all) are drawn{failed}, which has cost {_dollars(bucket, batch.run_id)}; `sd results "
        f"{batch.run_id}` downloads the images.\n"
    )


def _dollars(bucket: Bucket, run_id: str) -> str:
    """What the machines have told. One of them may not know its price."""
    shares = []
    for key in bucket.sorted_keys(RunKeys(run_id).machines):
        try:
            shares.append(MachineShare.from_json(bucket.get(key) or b""))
        except ValueError as error:
            logger.warning("%s is not readable, and does not count: %s", key, error)
    known = [share.usd_at_most for share in shares if share.usd_at_most is not None]
    if len(known) < len(shares) or not known:
        return "an amount that is not known here"
    return f"at most ${sum(known):.2f}"
