"""`sd gallery`: its options, and which of its ways they choose."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import boto3
import typer
from rich.console import Console

from scripts.command_line.account.deployment import RETRIES
from scripts.command_line.account.results_bucket import find_bucket
from scripts.command_line.account.runs import Run, choose_runs, list_runs
from scripts.command_line.gallery.fetch import fetch_page
from scripts.command_line.gallery.local_run import LocalRun, local_runs, write_page
from scripts.command_line.gallery.open_page import open_page
from scripts.command_line.gallery.overview import write_overview
from scripts.command_line.gallery.share import check_hours, share_run, shared_in_words
from scripts.command_line.results.download import LeftOut
from scripts.command_line.terminal.command_error import CommandError
from scripts.command_line.terminal.common_options import STACK, Profile, Region, Stack, open_session
from scripts.command_line.terminal.plain_text import print_plain, say
from scripts.interruption.signals import when_interrupted


def gallery(
    run: Annotated[
        list[str] | None,
        typer.Argument(metavar="RUN", help="Runs, by their names or beginnings of them; default: all."),
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
    stack: Stack = STACK,
    region: Region = None,
    profile: Profile = None,
) -> None:
    """Make a page of the runs: thumbnails, prompts, options, times and costs, with a search. It works offline."""
    console = Console(stderr=True)
    if folder is not None:
        if share is not None:
            raise CommandError("--share signs links to the bucket, and --folder asks nothing of AWS.", exit_status=2)
        _show(_need_folder(folder), run or [], browser=browser)
        return
    if share is not None and len(run or []) != 1:
        raise CommandError("--share takes one run: `sd gallery --share 24 RUN`.", exit_status=2)
    session = open_session(region, profile)
    now = datetime.now(UTC)
    if share is not None:
        check_hours(session, share, now=now)
    name = find_bucket(session, stack=stack, bucket=bucket)
    left_out = LeftOut()
    runs = _fetch(session, name, run or [], to, console, left_out, full=full)
    if share is not None:
        _share(session, name, to / runs[0].run_id, share, now, console)
    elif runs or local_runs(to):
        _show(to, [one.run_id for one in runs] if run else [], browser=browser)
    else:
        say(f"No runs in {name} yet.")
    left_out.tell()


def _fetch(
    session: boto3.Session,
    bucket: str,
    wanted: list[str],
    to: Path,
    console: Console,
    left_out: LeftOut,
    *,
    full: bool,
) -> list[Run]:
    s3 = session.client("s3", config=RETRIES)
    runs = choose_runs(list_runs(s3, bucket), wanted)
    for one in runs:
        fetch_page(s3, bucket, one, to, console, left_out, full=full)
    return runs


def _share(session: boto3.Session, bucket: str, folder: Path, hours: float, now: datetime, console: Console) -> None:
    made = _write(folder)
    if made is None:
        raise CommandError(f"There is no image of {folder.name} yet, so there is nothing to share.")
    with when_interrupted(lambda: f"Interrupted. If a page of {folder.name} was uploaded, nobody has its link."):
        shared = share_run(session, bucket, made, hours, now=now)
        say(shared.link)
    print_plain(shared_in_words(shared, folder.name), console, soft_wrap=True)


def _show(root: Path, wanted: Sequence[str], *, browser: bool) -> None:
    """Writes the pages of all runs in the folder, since the one over all names them, and opens one of them."""
    made = [written for folder in local_runs(root) if (written := _write(folder))]
    if not made:
        raise CommandError(f"There is no run with an image in {root} yet. `sd results` downloads runs.")
    overview = write_overview(root, made)
    chosen = choose_runs([Run(one.folder.name, None) for one in made], list(wanted))
    page = root / chosen[0].run_id / "index.html" if len(wanted) == 1 else overview
    images = sum(one.facts.images for one in made)
    counted = f"{len(made)} {'run' if len(made) == 1 else 'runs'}, {images:,} {'image' if images == 1 else 'images'}"
    say(f"{counted} -> {page}")
    if browser:
        open_page(page)


def _write(folder: Path) -> LocalRun | None:
    try:
        return write_page(folder)
    except OSError as error:
        raise CommandError(f"Could not write the page in {folder}: {error.strerror or error}.") from error


def _need_folder(folder: Path) -> Path:
    if not folder.is_dir():
        raise CommandError(f"There is no folder {folder}. `sd results --to {folder}` downloads runs into one.")
    return folder
