"""What watches an instance: alarms and logs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich.filesize import decimal

from scripts.command_line.ending.audit.leftover import Leftover, is_ours, stack_of, tags_of
from scripts.command_line.ending.audit.rates import MonthlyRates

if TYPE_CHECKING:
    from mypy_boto3_cloudwatch import CloudWatchClient
    from mypy_boto3_logs import CloudWatchLogsClient


def alarms(cloudwatch: CloudWatchClient, rates: MonthlyRates) -> Iterator[Leftover]:
    """Alarms. CloudWatch gives the tags of one alarm at a time."""
    for page in cloudwatch.get_paginator("describe_alarms").paginate():
        for alarm in page.get("MetricAlarms", []):
            tags = tags_of(cloudwatch.list_tags_for_resource(ResourceARN=alarm["AlarmArn"])["Tags"])
            if is_ours(tags):
                yield Leftover(
                    "alarm",
                    alarm["AlarmName"],
                    alarm.get("StateValue", ""),
                    rates.alarm(),
                    f"aws cloudwatch delete-alarms --alarm-names {alarm['AlarmName']}",
                    stack_of(tags),
                )


def log_groups(logs: CloudWatchLogsClient, rates: MonthlyRates) -> Iterator[Leftover]:
    """Log groups, by what they store."""
    for page in logs.get_paginator("describe_log_groups").paginate():
        for group in page["logGroups"]:
            arn = group["arn"].removesuffix(":*")
            tags = logs.list_tags_for_resource(resourceArn=arn)["tags"]
            if is_ours(tags):
                stored = group.get("storedBytes", 0)
                yield Leftover(
                    "log group",
                    group["logGroupName"],
                    decimal(stored),
                    rates.logs(stored),
                    f"aws logs delete-log-group --log-group-name {group['logGroupName']}",
                    stack_of(tags),
                )
