"""The runs that wait in a deployment's queues."""

from __future__ import annotations

from typing import TYPE_CHECKING

import boto3

from scripts.command_line.account.deployment import RETRIES, Deployment
from scripts.command_line.terminal.command_error import aws_errors_in_words

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

OUTPUTS = ("InteractiveQueue", "BatchQueue")


def runs_waiting(session: boto3.Session, deployment: Deployment) -> int:
    """How many messages the queues of work hold, also those that a worker has; none without queues.

    SQS counts approximately, and may not know yet of what was sent within the last minute. Raises `CommandError`.
    """
    urls = [deployment.outputs[name] for name in OUTPUTS if name in deployment.outputs]
    return messages_in(session, *urls)


def messages_in(session: boto3.Session, *urls: str) -> int:
    """How many messages the queues hold together, as `runs_waiting` counts them. Raises `CommandError`."""
    if not urls:
        return 0
    sqs: SQSClient = session.client("sqs", config=RETRIES)
    total = 0
    for url in urls:
        with aws_errors_in_words(f"look into the queue {url.rpartition('/')[2]}"):
            told = sqs.get_queue_attributes(
                QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
            )["Attributes"]
        total += sum(int(count) for count in told.values())
    return total


def is_taken(session: boto3.Session, url: str) -> bool:
    """Whether a machine has a message of the queue, or none is left, as SQS counts. Raises `CommandError`."""
    sqs: SQSClient = session.client("sqs", config=RETRIES)
    with aws_errors_in_words(f"look into the queue {url.rpartition('/')[2]}"):
        told = sqs.get_queue_attributes(
            QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        )["Attributes"]
    return told["ApproximateNumberOfMessagesNotVisible"] != "0" or told["ApproximateNumberOfMessages"] == "0"


def waiting_in_words(count: int) -> str:
    """`1 run or unit in the queue`, `2 runs or units in the queue`: each unit of a batch has a message."""
    return f"{count} {'run or unit' if count == 1 else 'runs or units'} in the queue"
