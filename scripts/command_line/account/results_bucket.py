"""The bucket that holds the results: that of the stack, or one that a destroyed stack left behind."""

from __future__ import annotations

from typing import TYPE_CHECKING

import boto3

from scripts.command_line.account.deployment import RETRIES, find_deployment, is_deleted
from scripts.command_line.account.tagged import tagged
from scripts.command_line.terminal.command_error import CommandError, aws_errors_in_words
from stacks.facts.tag_names import STACK_TAG

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


def find_bucket(session: boto3.Session, *, stack: str, bucket: str | None) -> str:
    """The bucket that was named, else the stack's, else the only one that destroyed stacks of that name left behind.

    A bucket that was left behind empty does not count, and a stack of the same name in another region is another stack.
    Raises `CommandError` when there is no such bucket, or more than one.
    """
    if bucket:
        return bucket
    deployment = find_deployment(session, stack)
    if deployment and "ResultsBucket" in deployment.outputs:
        return deployment.bucket
    left = _left_behind(session, stack)
    if len(left) == 1:
        return left[0]
    if left:
        raise CommandError(
            f"There is no stack {stack}, and several buckets of earlier ones: {', '.join(left)}. "
            f"Name one: `sd results --bucket {left[0]}`."
        )
    raise CommandError(
        f"There is no stack {stack} in {session.region_name or 'this region'}, and no bucket of an earlier one that "
        "holds anything. Deploy first, or name the bucket: `sd results --bucket NAME`."
    )


def is_left_behind(session: boto3.Session, *, stack: str, bucket: str) -> bool:
    """Whether the bucket is of a stack of that name that is gone. Raises `CommandError`."""
    deployment = find_deployment(session, stack)
    return is_deleted(deployment) or (deployment is not None and deployment.outputs.get("ResultsBucket") != bucket)


def holds_anything(s3: S3Client, bucket: str) -> bool:
    """Whether a bucket holds any object; False for one that is not there. Raises `CommandError`."""
    with aws_errors_in_words(f"look into the bucket {bucket}"):
        try:
            return bool(s3.list_objects_v2(Bucket=bucket, MaxKeys=1).get("Contents"))
        except s3.exceptions.NoSuchBucket:
            return False


def _left_behind(session: boto3.Session, stack: str) -> list[str]:
    """The buckets in the session's region that stacks of that name made, but for empty ones."""
    s3 = session.client("s3", config=RETRIES)
    with aws_errors_in_words("list your buckets"):
        listed = s3.list_buckets(BucketRegion=session.region_name or "")["Buckets"]
        tags = tagged(session, ["s3"])
    names = {arn.rpartition(":")[2] for arn, of_bucket in tags.items() if of_bucket.get(STACK_TAG) == stack}
    return sorted(name for name in names & {bucket["Name"] for bucket in listed} if holds_anything(s3, name))
