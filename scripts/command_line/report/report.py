"""`sd report`: asks every part, scrubs what it says, and writes one text."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import boto3

from scripts.command_line.report.bucket import boots, run
from scripts.command_line.report.case import Case, Told
from scripts.command_line.report.instance import console_output, instance
from scripts.command_line.report.scrub import Scrubber
from scripts.command_line.report.stack import alarms, events, queues, stack
from scripts.command_line.report.this_machine import account, versions
from scripts.command_line.terminal.command_error import CommandError, aws_errors_in_words
from userdata.contract.atomic_file import write_atomically

# Of a longer text, the beginning and the end: why something failed is in the last lines, most often.
BEGINNING, END = 20_000, 80_000
NOTE = (
    "Left out: keys, tokens, signatures, account numbers, names of users, e-mail addresses, {prompts}the range that "
    "may use SSH. Look through the report all the same before you hand it on."
)


@dataclass(frozen=True)
class Part:
    """One part of the report. `missing` says why there is nothing, in a sentence, and is empty otherwise."""

    title: str
    told: Told
    missing: str = ""


def make_report(session: boto3.Session, stack_name: str, *, prompts: bool) -> tuple[str, list[Part]]:
    """The report's text, and its parts. `prompts` says that the person's own words may be in it. Raises nothing."""
    case = Case(session, stack_name)
    parts = _collect(case, prompts=prompts)
    scrubber = Scrubber(prompts=None if prompts else case.words, left_out=case.left_out)
    scrubbed = [
        Part(part.title, Told(scrubber.scrub(part.told.summary), scrubber.scrub(part.told.text)), part.missing)
        for part in parts
    ]
    head = [
        f"Report of sd-on-ec2, {datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC",
        NOTE.format(prompts="" if prompts else "prompts, "),
        "",
        *(f"{part.title}: {part.told.summary}" for part in scrubbed),
    ]
    body = [f"\n===== {part.title}\n{_shortened(part.told.text)}" for part in scrubbed]
    return "\n".join([*head, *body]) + "\n", scrubbed


def write_report(text: str, folder: Path) -> Path:
    """Writes the report into the folder, and returns its path. Raises `CommandError` when that fails."""
    path = folder / f"sd-report-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.txt"
    try:
        write_atomically(path, text.encode())
    except OSError as error:
        raise CommandError(f"Could not write {path}: {error.strerror}. Name another folder: --to FOLDER.") from error
    return path


def _collect(case: Case, *, prompts: bool) -> list[Part]:
    ask: dict[str, Callable[[Case], Told]] = {
        "stack": functools.partial(stack, prompts=prompts),
        "events": events,
        "instance": instance,
        "alarms": alarms,
        "queues": queues,
        "boots": boots,
        "run": run,
        "console output": console_output,
    }
    first = [_attempt("versions", versions, case), _attempt("account", account, case)]
    silent = first[-1].missing
    # Nobody waits for eight more answers that cannot come.
    return first + [
        _missing(title, f"It was not asked for, because AWS did not know who asks. {silent}")
        if silent
        else _attempt(title, function, case)
        for title, function in ask.items()
    ]


def _attempt(title: str, function: Callable[[Case], Told], case: Case) -> Part:
    try:
        with aws_errors_in_words(f"collect the {title}"):
            return Part(title, function(case))
    except CommandError as error:
        return _missing(title, str(error))
    except Exception as error:  # noqa: BLE001  # a report is for what nobody expected, and must not fail of it
        return _missing(title, f"It could not be read ({type(error).__name__}: {error}).")


def _missing(title: str, why: str) -> Part:
    return Part(title, Told(f"not in this report. {why}", why), why)


def _shortened(text: str) -> str:
    left = len(text) - BEGINNING - END
    if left <= 0:
        return text
    return f"{text[:BEGINNING]}\n[... {left} characters are left out ...]\n{text[-END:]}"
