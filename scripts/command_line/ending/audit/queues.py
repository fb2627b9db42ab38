"""Queues, which cost nothing while nobody asks them. SQS does not filter by tags, so their ARNs come from `tagged`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import botocore.exceptions

from scripts.command_line.ending.audit.leftover import Leftover, stack_of

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

# SQS's old word, which it still says beside the new one.
NO_QUEUE = ("AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist")


def queues(sqs: SQSClient, ours: Mapping[str, Mapping[str, str]]) -> Iterator[Leftover]:
    """Queues, with how many messages each holds."""
    for arn, tags in ours.items():
        if arn.split(":")[2] != "sqs":
            continue
        name = arn.rpartition(":")[2]
        try:
            url = sqs.get_queue_url(QueueName=name)["QueueUrl"]
            told = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages"])["Attributes"]
        except botocore.exceptions.ClientError as error:
            if error.response["Error"]["Code"] in NO_QUEUE:
                continue  # the index of tags is behind
            raise
        messages = f"{told['ApproximateNumberOfMessages']} messages; SQS shows a deleted one for a minute"
        yield Leftover("queue", name, messages, 0.0, f"aws sqs delete-queue --queue-url {url}", stack_of(tags))
