"""Hands a run over to the machine: its job into the bucket, and then the message that points at it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import boto3
import botocore.exceptions

from scripts.command_line.account.deployment import RETRIES
from scripts.command_line.account.objects import OTHERS_WROTE
from scripts.command_line.terminal.command_error import aws_errors_in_words
from userdata.contract.layout import RunKeys
from userdata.contract.work import write_message
from userdata.job.job import Job
from userdata.job.job_document import write_job

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient


def send(session: boto3.Session, bucket: str, queue: str, job: Job) -> None:
    """Writes the job unless it is there, and sends its message. Raises `CommandError`.

    A job's name follows from what it asks for, so one that is there is the same. Its message is sent all the same,
    because that of an earlier call may be gone; a worker that gets both draws the run once.
    """
    s3: S3Client = session.client("s3", config=RETRIES)
    key = RunKeys(job.name).job
    with aws_errors_in_words(f"write {key} into {bucket}"):
        try:
            s3.put_object(Bucket=bucket, Key=key, Body=write_job(job), ContentType="application/json", IfNoneMatch="*")
        except botocore.exceptions.ClientError as error:
            if error.response["Error"]["Code"] not in OTHERS_WROTE:
                raise
    sqs: SQSClient = session.client("sqs", config=RETRIES)
    with aws_errors_in_words(f"send the message of run {job.name}"):
        sqs.send_message(QueueUrl=queue, MessageBody=write_message(job.name))
