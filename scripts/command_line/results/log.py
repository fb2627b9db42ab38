"""Shows the log of a run, as its worker keeps it in the bucket."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import botocore.exceptions

from scripts.command_line.terminal.command_error import CommandError, aws_errors_in_words
from userdata.contract.layout import RunKeys

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

POLL_SECONDS = 5.0
# What one request fetches at most: the log of a long run is shown in pieces.
PIECE_BYTES = 8 * 1024 * 1024


def show_log(
    s3: S3Client, bucket: str, run_id: str, show: Callable[[str], None], *, goes_on: Callable[[], bool] = lambda: False
) -> None:
    """Calls `show` with the lines of the log, and while the run `goes_on` with those that come.

    The worker uploads its log every 15 seconds at most, and at the end of the run. Raises `CommandError` for a run that
    has none.
    """
    at = 0
    while True:
        last_look = not goes_on()  # asked before the log is read, which is complete at the end of a run
        while piece := _piece(s3, bucket, RunKeys(run_id).log, at, is_complete=last_look):
            at += len(piece)
            show(piece.decode("utf-8", errors="replace").removesuffix("\n"))
        if last_look:
            break
        time.sleep(POLL_SECONDS)
    if not at:
        raise CommandError(
            f"Run {run_id} has no log yet, because no worker has begun it. `sd status --timeline` shows how the "
            "machine boots; `sd report` collects what its boot has logged."
        )


def _piece(s3: S3Client, bucket: str, key: str, at: int, *, is_complete: bool) -> bytes:
    """The bytes from `at` on up to the end of a line, or none; of a log that `is_complete`, the last line as it is."""
    with aws_errors_in_words(f"read {key} in {bucket}"):
        try:
            found = s3.get_object(Bucket=bucket, Key=key, Range=f"bytes={at}-{at + PIECE_BYTES - 1}")["Body"].read()
        except botocore.exceptions.ClientError as error:
            if error.response["Error"]["Code"] in ("NoSuchKey", "404", "InvalidRange", "416"):
                return b""
            raise
    whole = found[: found.rfind(b"\n") + 1]
    return whole or (found if is_complete or len(found) == PIECE_BYTES else b"")
