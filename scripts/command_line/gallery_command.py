"""`sd gallery`: its options."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from scripts.command_line.terminal.command_error import CommandError
from scripts.command_line.terminal.common_options import STACK, Profile, Region, Stack
from scripts.command_line.terminal.json_option import Json
from scripts.command_line.terminal.known_runs import complete_runs


def gallery(
    run: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="RUN",
            autocompletion=complete_runs,
            help="Runs, by their names or beginnings of them; default: all.",
        ),
    ] = None,
    full: Annotated[bool, typer.Option("--full", help="Download the images too, not the thumbnails alone.")] = False,
    share: Annotated[
        float | None, typer.Option("--share", metavar="HOURS", help="Print a link that shows one run for so long.")
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Option("--folder", metavar="FOLDER", help="Show what lies in this folder, and ask nothing of AWS."),
    ] = None,
    to: Annotated[Path, typer.Option("--to", metavar="FOLDER", help="The folder for downloads.")] = Path("results"),
    browser: Annotated[bool, typer.Option("--open/--no-open", help="Open the page in the browser.")] = True,
    bucket: Annotated[str | None, typer.Option(metavar="NAME", help="The bucket; default: the stack's.")] = None,
    as_json: Json = False,
    stack: Stack = STACK,
    region: Region = None,
    profile: Profile = None,
) -> None:
    """Make a page of the runs: thumbnails, prompts, options, times and costs, with a search. It works offline."""
    from scripts.command_line.account.results_bucket import find_bucket
    from scripts.command_line.gallery.share import check_hours
    from scripts.command_line.gallery.ways import show_bucket, show_folder
    from scripts.command_line.terminal.session import open_session

    if folder is not None:
        if share is not None:
            raise CommandError("--share signs links to the bucket, and --folder asks nothing of AWS.", exit_status=2)
        show_folder(folder, run or [], browser=browser, as_json=as_json)
        return
    if share is not None and len(run or []) != 1:
        raise CommandError("--share takes one run: `sd gallery --share 24 RUN`.", exit_status=2)
    session = open_session(region, profile)
    if share is not None:
        check_hours(session, share, now=datetime.now(UTC))
    name = find_bucket(session, stack=stack, bucket=bucket)
    show_bucket(session, name, run or [], to, full=full, share=share, browser=browser, as_json=as_json)
