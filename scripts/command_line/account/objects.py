"""Objects of a results bucket."""

from __future__ import annotations

from typing import TYPE_CHECKING

import botocore.exceptions

from scripts.command_line.terminal.command_error import CommandError, aws_errors_in_words

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


# S3's answers where the condition of a write does not hold, or somebody else writes the key at the same moment.
OTHERS_WROTE = ("PreconditionFailed", "ConditionalRequestConflict", "412", "409")


class TooLargeError(CommandError):
    """An object has more bytes than whoever reads it takes."""


def read(s3: S3Client, bucket: str, key: str, *, at_most: int | None = None) -> bytes | None:
    """The content of an object, or None where the bucket has no such object.

    Raises `CommandError` for other errors, and `TooLargeError` for an object of more than `at_most` bytes.
    """
    found = read_version(s3, bucket, key, at_most=at_most)
    return found[0] if found else None


def read_version(s3: S3Client, bucket: str, key: str, *, at_most: int | None = None) -> tuple[bytes, str] | None:
    """The same with the object's ETag, by which a writer says what it has read."""
    with aws_errors_in_words(f"read {key} in {bucket}"):
        try:
            found = s3.get_object(Bucket=bucket, Key=key)
        except botocore.exceptions.ClientError as error:
            if error.response["Error"]["Code"] in ("NoSuchKey", "404"):
                return None
            raise
        if at_most is not None and found["ContentLength"] > at_most:
            raise TooLargeError(f"{key} in {bucket} has {found['ContentLength']:,} bytes, but may have {at_most:,}.")
        return found["Body"].read(), found["ETag"]
