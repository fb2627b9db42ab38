"""`sd results`: its options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from scripts.command_line.terminal.common_options import STACK, Profile, Region, Stack
from scripts.command_line.terminal.json_option import Json, print_document
from scripts.command_line.terminal.known_runs import complete_runs, remember
from scripts.command_line.terminal.plain_text import say


def results(
    run: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="RUN",
            autocompletion=complete_runs,
            help="Runs, by their names or beginnings of them; default: all.",
        ),
    ] = None,
    list_only: Annotated[bool, typer.Option("--list", help="List the runs, and download nothing.")] = False,
    as_zip: Annotated[bool, typer.Option("--zip", help="Put each run's images into one ZIP, too.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Write a CSV of each run's images, too.")] = False,
    show: Annotated[bool, typer.Option("--show", help="Show the last images in the terminal, too.")] = False,
    as_json: Json = False,
    to: Annotated[Path, typer.Option("--to", metavar="FOLDER", help="The folder for downloads.")] = Path("results"),
    bucket: Annotated[str | None, typer.Option(metavar="NAME", help="The bucket; default: the stack's.")] = None,
    stack: Stack = STACK,
    region: Region = None,
    profile: Profile = None,
) -> None:
    """List the runs, and download their images. Files that are here already are not downloaded again."""
    from scripts.command_line.account.deployment import RETRIES
    from scripts.command_line.account.results_bucket import find_bucket, is_left_behind
    from scripts.command_line.account.runs import choose_runs, list_runs
    from scripts.command_line.account.unfinished_runs import with_interruptions
    from scripts.command_line.batches.around import with_progress
    from scripts.command_line.batches.show import row_of
    from scripts.command_line.documents.runs import Download, ResultsDocument
    from scripts.command_line.results.fetch_results import fetch_runs, show_runs
    from scripts.command_line.terminal.session import open_session

    session = open_session(region, profile)
    name = find_bucket(session, stack=stack, bucket=bucket)
    s3 = session.client("s3", config=RETRIES)
    is_left = not bucket and is_left_behind(session, stack=stack, bucket=name)
    listed = list_runs(s3, name)
    remember(one.run_id for one in listed)
    chosen = choose_runs(listed, run or [])
    runs = with_progress(session, name, with_interruptions(session, chosen, is_left=is_left))

    def tell(_: object, fetched: Download | None) -> None:
        rows = [row_of(one) for one in runs]
        print_document(ResultsDocument(bucket=name, stack_is_gone=is_left, runs=rows, download=fetched))

    if runs:
        show_runs(runs, Console(), is_left=is_left)
    else:
        say(f"No runs in {name} yet.")
    if runs and not list_only:
        fetch_runs(
            s3,
            name,
            runs,
            to,
            Console(stderr=True),
            as_zip=as_zip,
            as_csv=as_csv,
            tell=tell if as_json else None,
            show=show,
        )
    elif as_json:
        tell(runs, None)
