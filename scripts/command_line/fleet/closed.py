"""Whether the fleet has closed itself, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scripts.command_line.account.objects import ThisObjectError, read
from scripts.command_line.terminal.plain_text import printable
from userdata.contract.outside import read_json
from userdata.fleet.breakers import CLOSED

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


def closed_because(s3: S3Client, bucket: str) -> str | None:
    """Why the fleet has closed itself, in a sentence; None while it is open. Raises `CommandError`."""
    try:
        content = read(s3, bucket, CLOSED)
        reason = "" if content is None else str(read_json(content)["reason"] or "")
    except (ThisObjectError, KeyError, TypeError, ValueError):
        content, reason = b"", ""
    if content is None:
        return None
    return f"The fleet has closed itself: {printable(reason).rstrip('. ') or 'its reason cannot be read'}."
