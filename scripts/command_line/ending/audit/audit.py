"""Looks for everything of this project in the region: by its tag, and where AWS gives no tags by what it belongs to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import boto3
from rich.console import Console
from rich.table import Table

from scripts.command_line.account.deployment import RETRIES, find_deployment
from scripts.command_line.account.tagged import tagged
from scripts.command_line.ending.audit.around import (
    key_pairs,
    launch_templates,
    network_interfaces,
    security_groups,
    vpcs,
)
from scripts.command_line.ending.audit.buckets import buckets, in_own_bucket
from scripts.command_line.ending.audit.compute import (
    addresses,
    capacity_reservations,
    images,
    instances,
    snapshots,
    spot_requests,
    volumes,
)
from scripts.command_line.ending.audit.fleets import fleets
from scripts.command_line.ending.audit.leftover import Leftover
from scripts.command_line.ending.audit.queues import queues
from scripts.command_line.ending.audit.rates import MonthlyRates
from scripts.command_line.ending.audit.watching import alarms, log_groups
from scripts.command_line.terminal.command_error import aws_errors_in_words
from scripts.command_line.terminal.plain_text import cell, print_plain


@dataclass(frozen=True)
class Audit:
    """What is left over, the dearest first, and the stacks that stand, to which the rest belongs.

    Each of these with CloudFormation's word for its state.
    """

    left: list[Leftover]
    standing: dict[str, str]


def look_through(session: boto3.Session, own_buckets: Mapping[str, str] = MappingProxyType({})) -> Audit:
    """Everything of the project in the session's region.

    `own_buckets` are a person's own, which carry no tag, and the stack that wrote into each. What belongs to a stack
    that stands is not left over. Raises `CommandError` when AWS cannot be asked.
    """
    rates = MonthlyRates(session.region_name or "")
    with aws_errors_in_words("look for what is left"):
        ec2 = session.client("ec2", config=RETRIES)
        s3 = session.client("s3", config=RETRIES)
        ours = tagged(session, ["cloudwatch", "logs", "s3", "sqs"])
        found = [
            *instances(ec2, rates),
            *spot_requests(ec2, rates),
            *capacity_reservations(ec2, rates),
            *volumes(ec2, rates),
            *snapshots(ec2, rates),
            *images(ec2),
            *addresses(ec2, rates),
            *network_interfaces(ec2),
            *security_groups(ec2),
            *vpcs(ec2),
            *key_pairs(ec2),
            *launch_templates(ec2),
            *fleets(session.client("autoscaling", config=RETRIES)),
            *alarms(session.client("cloudwatch", config=RETRIES), rates, ours),
            *log_groups(session.client("logs", config=RETRIES), rates, ours),
            *queues(session.client("sqs", config=RETRIES), ours),
            *buckets(s3, rates, ours),
            *(one for name, stack in own_buckets.items() for one in in_own_bucket(s3, rates, name, stack)),
        ]
    names = sorted({one.stack for one in found if one.stack})
    standing = {name: stack.state for name in names if (stack := find_deployment(session, name))}
    left = [one for one in found if one.stack not in standing]
    return Audit(sorted(left, key=_dearest_first), standing)


def show_leftovers(left: list[Leftover], console: Console) -> None:
    """Prints a table of what is left, with monthly costs, and below the table the commands that remove it."""
    if not left:
        print_plain("Nothing is left.", console)
        return
    table = Table("What is left", "", "", box=None, pad_edge=False)
    table.add_column("$ a month", justify="right")
    for one in left:
        price = "not known" if one.usd_per_month is None else f"{one.usd_per_month:.2f}"
        table.add_row(one.kind, cell(one.id), cell(one.detail), price)
    console.print(table)
    print_plain("To remove it:", console)
    for one in left:
        warning = "   # deletes your images" if one.is_result else ""
        print_plain(f"  {one.command}{warning}", console, soft_wrap=True)


def _dearest_first(one: Leftover) -> tuple[bool, float, str, str]:
    price = float("inf") if one.usd_per_month is None else one.usd_per_month
    return one.is_result, -price, one.kind, one.id
