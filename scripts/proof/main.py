"""`./scripts/test --aws`: says what it will do and cost, asks, walks, shows the table, and removes everything."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import textwrap
from datetime import UTC, datetime
from pathlib import Path

from scripts.command_line.account.deployment import RETRIES
from scripts.command_line.terminal.command_error import CommandError, aws_errors_in_words
from scripts.command_line.terminal.session import open_session
from scripts.proof.account import Account
from scripts.proof.estimate import estimate, refuse_what_is_dear
from scripts.proof.place import STACK, Place, choose_place, hourly
from scripts.proof.removal import AGAIN, remove, what_is_there
from scripts.proof.rows import WIDTH, Report, Row, table_of
from scripts.proof.step import Step
from scripts.proof.steps import STEPS
from scripts.proof.terminal import ROOT, Interrupted, Meter, Terminal, obey_signals
from scripts.proof.walk import NOT_TRIED, Walk
from stacks.facts.instance_types import INSTANCE_TYPES

SETTLE_MINUTES = 3.0
EVERY, EVERY_EMULATED = 5.0, 0.25  # seconds between two looks


def main(arguments: list[str] | None = None) -> int:
    """Gives 0 when everything was as expected, 1 when something was not, 2 for misuse, 128 + N after signal N."""
    options = _parser().parse_args(arguments)
    obey_signals()
    try:
        with aws_errors_in_words("go on"):
            return _prove(options)
    except CommandError as error:
        sys.stderr.write(f"test: {error}\n")
        return error.exit_status
    except Interrupted as interrupted:
        return 128 + interrupted.number


def _parser() -> argparse.ArgumentParser:
    names = ", ".join(step.name for step in STEPS)
    parser = argparse.ArgumentParser(prog="scripts/test --aws", description=__doc__)
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.add_argument("--remove", action="store_true", help="only remove what an earlier call has left")
    parser.add_argument("--type", metavar="NAME", help="the instance type; default: the cheapest of the region")
    parser.add_argument("--step", action="append", metavar="NAME", choices=[one.name for one in STEPS], help=names)
    parser.add_argument("--report", type=Path, metavar="FOLDER", help="the report's folder; default: proof-TIME")
    return parser


def _prove(options: argparse.Namespace) -> int:
    session = open_session(None, None)
    account = Account(session)
    emulated = bool(os.environ.get("AWS_ENDPOINT_URL"))
    with aws_errors_in_words("ask AWS who you are"):
        number = str(session.client("sts", config=RETRIES).get_caller_identity()["Account"])
    prices = {name: hourly(account.region, name) or 0 for name in INSTANCE_TYPES}
    terminal = Terminal(Meter(prices), account.billed, every=EVERY_EMULATED if emulated else EVERY)
    for earlier in (Account(open_session(region, None)) for region in account.regions()):
        if there := what_is_there(earlier):
            _ask(f"An earlier proof was not ended: {there} Remove it?", options)
            if not _remove_all(earlier, terminal):
                return 1
    if options.remove:
        terminal.tell(f"Nothing of a proof is left in {account.region}.")
        return 0
    place = choose_place(session, options.type)
    steps = [step for step in STEPS if not options.step or step.name in options.step or step.is_first]
    _ask(_announced(place, steps, number), options)
    now = datetime.now(UTC)
    report = Report(
        folder=options.report or ROOT / f"proof-{now:%Y-%m-%d-%H%M}",
        heading=f"sd-on-ec2 in {'the local cloud' if emulated else 'AWS'}, {place.region}, {now:%Y-%m-%d %H:%M} UTC",
        secrets=[number],
    )
    return _walk(Walk(account, place, terminal, report, emulated=emulated), steps, account, terminal, report)


def _walk(walk: Walk, steps: list[Step], account: Account, terminal: Terminal, report: Report) -> int:
    status, is_clean = 0, False
    try:
        walk.take(steps)
    except Interrupted as interrupted:
        status = 128 + interrupted.number
        terminal.tell("Interrupted: everything is removed now, which takes minutes. A second Ctrl-C leaves it there.")
    finally:
        is_clean = _remove_all(account, terminal)
    found = "nothing" if is_clean else "more; see above"
    report.rows.append(Row("the end", "left by the audit", "nothing", found, "yes" if is_clean else "no"))
    with contextlib.suppress(OSError):
        report.write()
        sys.stdout.write(f"{report.masked(table_of(report.rows))}\n\n")
    other = sum(row.same == "no" for row in report.rows)
    reached = {row.step for row in report.rows}
    untried = sum(row.seen.startswith(NOT_TRIED) for row in report.rows)
    untried += sum(step.name not in reached for step in steps)  # interrupted before them, or in the midst of one
    terminal.tell(
        f"{other} of {len(report.rows)} rows are not as expected, {untried} of the steps were not tried; "
        f"{terminal.so_far()}. The report, for an issue, is in {report.folder}."
    )
    return status or (1 if other or untried else 0)


def _announced(place: Place, steps: list[Step], number: str) -> str:
    """What will be done, and what that costs. Raises `CommandError` when it is too much."""
    minutes, usd = estimate(place, steps)
    refuse_what_is_dear(place, usd)
    lines = [f"{number}. {step.name}: {step.does}" for number, step in enumerate(steps, start=1)]
    wrapped = [line for text in lines for line in textwrap.wrap(text, WIDTH, subsequent_indent="   ")]
    told = (
        f"This takes about {minutes:.0f} minutes and costs about ${usd:.2f}, by the estimates of `sd cost` and the "
        f"prices of userdata/prices.json. It makes a stack of its own, {STACK}, and touches no other. At the end, and "
        "after Ctrl-C, everything is removed. The credentials must last as long. Go on?"
    )
    where = f"In account {number}, {place.region}, with {place.type}:"
    return "\n".join([where, *wrapped, *textwrap.wrap(told, WIDTH)])


def _ask(question: str, options: argparse.Namespace) -> None:
    """Raises `CommandError` for anything but yes."""
    sys.stderr.write(f"{question}{' yes' if options.yes else ' [yes/no] '}")
    if options.yes:
        sys.stderr.write("\n")
        return
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise CommandError("Nothing was done. Answer yes, or add --yes.")


def _remove_all(account: Account, terminal: Terminal) -> bool:
    """Whether nothing is left. Otherwise says in one sentence what is, and which command removes it."""
    try:
        remove(account, terminal)
        with contextlib.suppress(CommandError):
            # AWS's lists can be a little behind.
            terminal.wait("the audit to find nothing", lambda: not what_is_there(account), minutes=SETTLE_MINUTES)
        there = what_is_there(account)
    except CommandError as error:
        there = f"{error} The stack {STACK} in {account.region} may be there still."
    except Interrupted:
        there = f"The stack {STACK} in {account.region} may be there still, with its instance and its bucket."
    if there:
        terminal.tell(f"{there} Remove it: {AGAIN}")
    return not there
