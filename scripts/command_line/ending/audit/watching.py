"""What watches an instance: alarms and logs. Neither service filters by tags, so their ARNs come from `tagged`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from rich.filesize import decimal

from scripts.command_line.ending.audit.leftover import Leftover, stack_of
from scripts.command_line.ending.audit.rates import MonthlyRates

if TYPE_CHECKING:
    from mypy_boto3_cloudwatch import CloudWatchClient
    from mypy_boto3_logs import CloudWatchLogsClient

MOST_NAMES = 100  # of alarms in one question


def alarms(
    cloudwatch: CloudWatchClient, rates: MonthlyRates, ours: Mapping[str, Mapping[str, str]]
) -> Iterator[Leftover]:
    """Alarms."""
    stacks = {arn.split(":", 6)[6]: stack_of(tags) for arn, tags in ours.items() if ":alarm:" in arn}
    names = sorted(stacks)
    for start in range(0, len(names), MOST_NAMES):
        some = names[start : start + MOST_NAMES]
        for alarm in cloudwatch.describe_alarms(AlarmNames=some, MaxRecords=MOST_NAMES)["MetricAlarms"]:
            yield Leftover(
                "alarm",
                alarm["AlarmName"],
                alarm.get("StateValue", ""),
                rates.alarm(),
                f"aws cloudwatch delete-alarms --alarm-names {alarm['AlarmName']}",
                stacks[alarm["AlarmName"]],
            )


def log_groups(
    logs: CloudWatchLogsClient, rates: MonthlyRates, ours: Mapping[str, Mapping[str, str]]
) -> Iterator[Leftover]:
    """Log groups, by what they store."""
    stacks = {
        arn.split(":", 6)[6].removesuffix(":*"): stack_of(tags) for arn, tags in ours.items() if ":log-group:" in arn
    }
    for name, stack in stacks.items():
        for group in logs.describe_log_groups(logGroupNamePrefix=name)["logGroups"]:
            if group["logGroupName"] == name:
                stored = group.get("storedBytes", 0)
                command = f"aws logs delete-log-group --log-group-name {name}"
                yield Leftover("log group", name, decimal(stored), rates.logs(stored), command, stack)
