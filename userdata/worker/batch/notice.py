"""Mails that a batch has ended or is stuck, where somebody has asked for that."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

import boto3

from userdata.batch.documents import Batch, BatchEnded, MachineShare
from userdata.contract.layout import RunKeys
from userdata.contract.notice import TOPIC
from userdata.worker.bucket.bucket import Bucket
from userdata.worker.bucket.passing_errors import AWS_ERRORS

logger = logging.getLogger(__name__)


def mail_about(run_id: str, text: str, parameters: Mapping[str, str]) -> None:
    """Mails a text by the topic of the deployed `parameters`; without one it does nothing. A failure is logged."""
    topic = parameters.get(TOPIC)
    if not topic:
        return
    try:
        boto3.client("sns").publish(TopicArn=topic, Subject=f"sd-on-ec2: {run_id}", Message=text)
    except AWS_ERRORS as error:
        logger.warning("Nobody was mailed about %s: %s", run_id, error)


def mail_that_it_ended(parameters: Mapping[str, str], bucket: Bucket) -> Callable[[Batch, BatchEnded], None]:
    """What is to be called when a batch has ended. Raises botocore's errors when the bucket cannot be read."""

    def mail(batch: Batch, ended: BatchEnded) -> None:
        if TOPIC in parameters:
            mail_about(batch.run_id, _sentence(bucket, batch, ended), parameters)

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
