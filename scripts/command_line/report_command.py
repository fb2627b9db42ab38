"""`sd report`: writes what a bug report needs into a file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from scripts.command_line.terminal.common_options import STACK, Profile, Region, Stack
from scripts.command_line.terminal.json_option import Json, print_document
from scripts.command_line.terminal.plain_text import print_plain, say


def report(
    prompts: Annotated[bool, typer.Option("--prompts", help="Leave the prompts in.")] = False,
    to: Annotated[Path, typer.Option("--to", metavar="FOLDER", help="The folder for the report.")] = Path(),
    as_json: Json = False,
    stack: Stack = STACK,
    region: Region = None,
    profile: Profile = None,
) -> None:
    """Write a file for a bug report: versions, stack, instance, boots, logs. Secrets and prompts are left out.

    What cannot be had is left out too, and the report says why. Nothing is sent anywhere.
    """
    from scripts.command_line.documents.machine import MissingPart, ReportDocument
    from scripts.command_line.report.report import make_report, write_report
    from scripts.command_line.terminal.session import open_session

    text, parts = make_report(open_session(region, profile), stack, prompts=prompts)
    path = write_report(text, to)
    for why in dict.fromkeys(part.missing for part in parts if part.missing):
        titles = ", ".join(part.title for part in parts if part.missing == why)
        print_plain(f"Not in the report: {titles}. {why}", Console(stderr=True), soft_wrap=True)
    say(f"The report is {path}. Look through it before you hand it on.")
    if as_json:
        missing = [MissingPart(title=part.title, why=part.missing) for part in parts if part.missing]
        print_document(ReportDocument(path=str(path), missing=missing))
