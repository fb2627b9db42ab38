"""The ways of `sd gallery`: pages of what lies in a folder, of what is in the bucket, and one behind a link."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import boto3
from rich.console import Console

from scripts.command_line.account.deployment import RETRIES
from scripts.command_line.account.runs import Run, choose_runs, list_runs
from scripts.command_line.gallery.fetch import fetch_page
from scripts.command_line.gallery.local_run import LocalRun, local_runs, write_page
from scripts.command_line.gallery.open_page import open_page
from scripts.command_line.gallery.overview import write_overview
from scripts.command_line.gallery.share import check_hours, share_run, shared_in_words
from scripts.command_line.results.download import LeftOut
from scripts.command_line.terminal.command_error import CommandError
from scripts.command_line.terminal.known_runs import remember
from scripts.command_line.terminal.plain_text import print_plain, say
from scripts.interruption.signals import when_interrupted


def fetch_and_show(
    session: boto3.Session, bucket: str, wanted: Sequence[str], to: Path, *, full: bool, browser: bool
) -> None:
    """Brings the pages of the wanted runs, of all when none is named, into the folder `to`, and shows them."""
    left_out = LeftOut()
    runs = _fetch(session, bucket, list(wanted), to, Console(stderr=True), left_out, full=full)
    if runs or local_runs(to):
        show_pages(to, [one.run_id for one in runs] if wanted else [], browser=browser)
    else:
        say(f"No runs in {bucket} yet.")
    left_out.tell()


def share_page(
    session: boto3.Session,
    find: Callable[[], str],
    wanted: Sequence[str],
    to: Path,
    *,
    hours: float,
    full: bool,
) -> None:
    """Prints a link to a page of the one wanted run, once the hours are found to hold. `find` finds the bucket."""
    console, now, left_out = Console(stderr=True), datetime.now(UTC), LeftOut()
    check_hours(session, hours, now=now)
    bucket = find()
    (run, *_) = _fetch(session, bucket, list(wanted), to, console, left_out, full=full)
    _share(session, bucket, to / run.run_id, hours, now, console)
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
    listed = list_runs(s3, bucket)
    remember(one.run_id for one in listed)
    runs = choose_runs(listed, wanted)
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


def show_pages(root: Path, wanted: Sequence[str], *, browser: bool) -> None:
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


def need_folder(folder: Path) -> Path:
    """The folder. Raises `CommandError` without one."""
    if not folder.is_dir():
        raise CommandError(f"There is no folder {folder}. `sd results --to {folder}` downloads runs into one.")
    return folder
