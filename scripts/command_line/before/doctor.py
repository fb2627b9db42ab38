"""`sd doctor`: checks what a deploy needs, before it costs anything."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import boto3
from rich.console import Console
from rich.table import Table
from rich.text import Text

from scripts.command_line.account.plan import Plan
from scripts.command_line.before.account_checks import (
    check_account_plan,
    check_bootstrap,
    check_credentials,
    check_plugin,
    check_quota,
    check_quota_requests,
    check_spot_capacity,
    check_stack,
    check_zones,
)
from scripts.command_line.before.bucket_checks import check_bucket
from scripts.command_line.before.check import Check
from scripts.command_line.before.fleet_checks import check_fleet_quota, check_fleet_types, check_spot_role
from scripts.command_line.before.model_checks import check_weights
from scripts.command_line.before.network_check import check_network
from scripts.command_line.before.price_checks import check_max_price, check_price, check_spend
from scripts.command_line.documents.machine import CheckRow, DoctorDocument
from scripts.command_line.terminal.command_error import CommandError
from scripts.command_line.terminal.plain_text import cell

CheckFunction = Callable[[boto3.Session, Plan], Check]
COLOURS = {"ok": "green", "problem": "red", "unknown": "yellow"}

# In the order in which a person mends problems. The others need what the first checks.
CHECKS: dict[str, CheckFunction] = {
    "credentials": check_credentials,
    "CDK bootstrap": check_bootstrap,
    "account plan": check_account_plan,
    "stack": check_stack,
    "quota": check_quota,
    "quota requests": check_quota_requests,
    "zones": check_zones,
    "network": check_network,
    "spot capacity": check_spot_capacity,
    "fleet types": check_fleet_types,
    "fleet quota": check_fleet_quota,
    "spot role": check_spot_role,
    "Session Manager plugin": check_plugin,
    "model": check_weights,
    "bucket": check_bucket,
    "price": check_price,
    "spot price": check_max_price,
    "spending": check_spend,
}
# What a deploy needs, and would miss only after it has created things.
NEEDED = tuple(name for name in CHECKS if name not in ("quota requests", "Session Manager plugin"))


def examine(session: boto3.Session, plan: Plan, names: Sequence[str] = tuple(CHECKS)) -> list[Check]:
    """The checks of those names. A check that AWS does not answer is `unknown`, with the reason."""
    first = check_credentials(session, plan)
    others = [name for name in names if name != "credentials"]
    if first.state != "ok":
        waiting = [Check(name, "unknown", "not checked without credentials and a region") for name in others]
        return [first, *waiting]
    with ThreadPoolExecutor(len(others) or 1) as pool:
        return [first, *pool.map(lambda name: _attempt(name, session, plan), others)]


def _attempt(name: str, session: boto3.Session, plan: Plan) -> Check:
    try:
        return CHECKS[name](session, plan)
    except CommandError as error:
        return Check(name, "unknown", str(error), "give yourself the right to ask, or go on without this check")


def refuse_what_blocks(session: boto3.Session, plan: Plan, names: Sequence[str] = NEEDED) -> None:
    """Raises `CommandError` with every problem, of these checks, that would make a deploy of `plan` fail."""
    blocking = [check for check in examine(session, plan, names) if check.blocks and check.state == "problem"]
    if blocking:
        lines = [
            f"{check.name}: {check.found.rstrip('.')}." + (f" To mend it: {check.mend}" if check.mend else "")
            for check in blocking
        ]
        raise CommandError("\n".join(["Nothing was deployed.", *lines, "`sd doctor` shows everything."]))


def show_checks(checks: Sequence[Check], console: Console) -> None:
    """A table with a line for each check, and how to mend it below what was found."""
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for check in checks:
        table.add_row(check.name, Text(check.state, COLOURS[check.state]), cell(check.found))
        if check.mend:
            table.add_row("", "", cell(f"-> {check.mend}", "bold"))
    console.print(table)


def doctor_document(checks: Sequence[Check]) -> DoctorDocument:
    """The same for programs."""
    return DoctorDocument(checks=[CheckRow(**dataclasses.asdict(check)) for check in checks])
