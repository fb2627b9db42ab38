"""Change sets that a killed `sd deploy` has prepared and never begun."""

from __future__ import annotations

import re
import secrets
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import boto3

from scripts.command_line.account.deployment import RETRIES
from userdata.worker.bucket.passing_errors import AWS_ERRORS

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient

OURS = re.compile(r"sd-[0-9a-f]{8}")
# The CLI begins a change set some seconds after it was made.
SURELY_LEFT = timedelta(hours=1)


def new_name() -> str:
    """Of one name for all, the change set of a second deploy would take the place of the first one's."""
    return f"sd-{secrets.token_hex(4)}"


def delete_left(session: boto3.Session, stack: str) -> None:
    """Deletes those that are surely nobody's. Nothing depends on it, so that who may not do that deploys all the same.

    Otherwise they go when the next change set is begun, or with the stack.
    """
    client: CloudFormationClient = session.client("cloudformation", config=RETRIES)
    try:
        pages = client.get_paginator("list_change_sets").paginate(StackName=stack)
        found = [one for page in pages for one in page.get("Summaries", [])]
        for one in found:
            is_begun = one.get("ExecutionStatus", "").startswith("EXECUTE")
            is_old = "CreationTime" in one and datetime.now(UTC) - one["CreationTime"] > SURELY_LEFT
            if is_old and not is_begun and OURS.fullmatch(one.get("ChangeSetName", "")):
                client.delete_change_set(StackName=stack, ChangeSetName=one["ChangeSetName"])
    except AWS_ERRORS:
        return
