"""Objects of a results bucket."""

from __future__ import annotations

from typing import TYPE_CHECKING

import botocore.exceptions

from scripts.command_line.terminal.command_error import CommandError, aws_errors_in_words
from userdata.contract.outside import MOST_BYTES

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


# S3's answers where the condition of a write does not hold, or somebody else writes the key at the same moment.
OTHERS_WROTE = ("PreconditionFailed", "ConditionalRequestConflict", "412", "409")


# The codes where this object alone cannot be had: it is archived, encrypted with somebody's own key, or not for us.
OF_ONE_OBJECT = ("AccessDenied", "InvalidObjectState", "InvalidRequest", "InvalidURI", "KeyTooLongError")


class ThisObjectError(CommandError):
    """An object cannot be had, and others can: whoever may write to the bucket may put such a one anywhere."""


class TooLargeError(ThisObjectError):
    """An object has more bytes than whoever reads it takes."""


def read(s3: S3Client, bucket: str, key: str, *, at_most: int = MOST_BYTES) -> bytes | None:
    """The content of an object, or None where the bucket has no such object.

    Raises `CommandError` for other errors, and as `ThisObjectError` for what is about this object alone:
    `TooLargeError` for one of more than `at_most` bytes.
    """
    found = read_version(s3, bucket, key, at_most=at_most)
    return found[0] if found else None


def read_if_possible(s3: S3Client, bucket: str, key: str, *, at_most: int = MOST_BYTES) -> bytes | None:
    """The same of one of many objects: None also for one that cannot be had. Raises `CommandError` for other errors."""
    try:
        return read(s3, bucket, key, at_most=at_most)
    except ThisObjectError:
        return None


def read_version(s3: S3Client, bucket: str, key: str, *, at_most: int = MOST_BYTES) -> tuple[bytes, str] | None:
    """The same as `read` with the object's ETag, by which a writer says what it has read."""
    try:
        with aws_errors_in_words(f"read {key} in {bucket}"):
            found = s3.get_object(Bucket=bucket, Key=key)
            if found["ContentLength"] > at_most:
                raise TooLargeError(
                    f"{key} in {bucket} has {found['ContentLength']:,} bytes, but may have {at_most:,}."
                )
            return found["Body"].read(), found["ETag"]
    except CommandError as error:
        refused = error.__cause__
        code = refused.response["Error"]["Code"] if isinstance(refused, botocore.exceptions.ClientError) else ""
        if code in ("NoSuchKey", "404"):
            return None
        if code in OF_ONE_OBJECT:
            raise ThisObjectError(str(error)) from refused
        raise
