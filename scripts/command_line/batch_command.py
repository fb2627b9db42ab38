"""`sd batch`: its options."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from scripts.command_line.batching.row_format import Format
from scripts.command_line.terminal.common_options import STACK, Profile, Region, Stack
from scripts.command_line.terminal.json_option import Json
from scripts.command_line.terminal.known_runs import complete_runs
from scripts.command_line.terminal.parameter_options import with_batch_options


@with_batch_options
def batch(
    parameters: dict[str, str],
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="Rows: prompts, .csv or .jsonl (docs/batches.md); - reads stdin.")
    ],
    form: Annotated[
        Format | None, typer.Option("--format", help="How the rows are written; default: by the file's ending.")
    ] = None,
    grid: Annotated[
        list[str],
        typer.Option(
            "--grid", metavar="NAME=VALUES", help="Draw each row with each value: scale=5,7.5,10 or seed=1..8."
        ),
    ] = [],  # noqa: B006  # typer reads it and makes its own
    sample: Annotated[
        int | None,
        typer.Option(metavar="N", help="Draw and download N images of the file first, then ask for the rest."),
    ] = None,
    add: Annotated[
        str | None,
        typer.Option(metavar="RUN", autocompletion=complete_runs, help="Add the rows to a batch that stands."),
    ] = None,
    max_usd: Annotated[
        float | None, typer.Option(metavar="USD", help="What all machines together may cost for this batch.")
    ] = None,
    machines: Annotated[
        int | None, typer.Option(metavar="N", help="So many machines of the fleet; default: as many as pay.")
    ] = None,
    at: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Begin then: 02:00, or 2026-12-01T02:00+01:00. Your computer may be off."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before machines are started.")] = False,
    as_json: Json = False,
    to: Annotated[Path, typer.Option("--to", metavar="FOLDER", help="The folder for the sample.")] = Path("results"),
    stack: Stack = STACK,
    region: Region = None,
    profile: Profile = None,
) -> None:
    """Draw a file of rows on one machine or the fleet.

    The images' options hold for every row that does not say otherwise. What it costs is shown before it asks.
    """
    from scripts.command_line.batching.batch import batch as draw_batch
    from scripts.command_line.batching.wish import read_wish
    from scripts.command_line.terminal.session import open_session

    wish = read_wish(
        file,
        form=form,
        grid=grid,
        given=parameters,
        add=add,
        sample=sample,
        max_usd=max_usd,
        machines=machines,
        at=at,
        yes=yes,
        fetch_to=to,
        now=datetime.now().astimezone(),
    )
    draw_batch(
        open_session(region, profile),
        stack=stack,
        wish=wish,
        given=parameters,
        console=Console(stderr=True),
        as_json=as_json,
    )
