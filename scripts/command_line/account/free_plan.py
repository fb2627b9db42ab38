"""AWS's Free Plan, on which EC2 launches no GPU type."""

from __future__ import annotations

import boto3
import botocore.exceptions

from scripts.command_line.account.deployment import RETRIES
from scripts.command_line.terminal.command_error import aws_errors_in_words

# The Free Tier API has one endpoint, for all regions.
FREE_TIER_REGION = "us-east-1"
ON_THE_FREE_PLAN = "the Free Plan, on which EC2 launches no GPU type"
UPGRADE = "upgrade to a paid plan: AWS console, Billing and Cost Management, Account"


def kind_of_plan(session: boto3.Session) -> str | None:
    """`FREE`, `PAID`, or None for an account without a plan. Raises `CommandError` when that may not be asked.

    Whether accounts from before the plans have none is not documented; one on the Free Plan has that plan.
    """
    client = session.client("freetier", region_name=FREE_TIER_REGION, config=RETRIES)
    with aws_errors_in_words("ask for the account's plan"):
        try:
            kind: str = client.get_account_plan_state()["accountPlanType"]
        except botocore.exceptions.ClientError as error:
            if error.response["Error"]["Code"] != "ResourceNotFoundException":
                raise
            return None
    return kind
