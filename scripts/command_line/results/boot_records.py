"""The records of an instance's boots, below `boots/<instance-id>/`: a boot can fail before its run has a status."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from pydantic import TypeAdapter, ValidationError

from scripts.command_line.account.objects import read_if_possible
from scripts.command_line.terminal.command_error import aws_errors_in_words
from userdata.contract.layout import BOOTS
from userdata.contract.outside import read_json
from userdata.contract.status import Failure

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

FAILURE = TypeAdapter(Failure)


def find_boot_failure(s3: S3Client, bucket: str, instance_id: str, since: datetime) -> Failure | None:
    """Why a boot of the instance failed after `since`; None if none did. Raises `CommandError` for other errors.

    A record is written at the end of a boot, so the record's own time must be later.
    """
    with aws_errors_in_words(f"read the boots of {instance_id} in {bucket}"):
        pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{BOOTS}{instance_id}/")
        keys = [
            entry["Key"]
            for page in pages
            for entry in page.get("Contents", [])
            if entry["LastModified"] >= since and entry["Key"].endswith(".json")
        ]
    for key in sorted(keys, reverse=True):
        try:
            return FAILURE.validate_python(read_json(read_if_possible(s3, bucket, key) or b"{}")["error"])
        except (KeyError, TypeError, ValueError, ValidationError):
            continue
    return None
