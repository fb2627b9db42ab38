"""The bucket that holds the results: that of the stack, or one that a destroyed stack left behind."""

from __future__ import annotations

import boto3

from scripts.command_line.account.deployment import RETRIES, find_deployment
from scripts.command_line.account.tagged import tagged
from scripts.command_line.terminal.command_error import CommandError, aws_errors_in_words
from stacks.facts.tag_names import STACK_TAG


def find_bucket(session: boto3.Session, *, stack: str, bucket: str | None) -> str:
    """The bucket that was named, else the stack's, else the only one that destroyed stacks of that name left behind.

    A stack of the same name in another region is another stack, and so are its buckets. Raises `CommandError` when
    there is no such bucket, or more than one.
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
        f"There is no stack {stack} in {session.region_name or 'this region'}, and no bucket of an earlier one. "
        "Deploy first, or name the bucket: `sd results --bucket NAME`."
    )


def _left_behind(session: boto3.Session, stack: str) -> list[str]:
    """The buckets in the session's region that stacks of that name made."""
    with aws_errors_in_words("list your buckets"):
        listed = session.client("s3", config=RETRIES).list_buckets(BucketRegion=session.region_name or "")["Buckets"]
        tags = tagged(session, ["s3"])
    names = {arn.rpartition(":")[2] for arn, of_bucket in tags.items() if of_bucket.get(STACK_TAG) == stack}
    return sorted(names & {bucket["Name"] for bucket in listed})
