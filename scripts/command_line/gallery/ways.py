"""The ways of `sd gallery`: from the bucket, of a folder on this disk, or as a link for somebody else."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import boto3
from rich.console import Console

from scripts.command_line.account.deployment import RETRIES
from scripts.command_line.account.runs import Run, choose_runs, list_runs
from scripts.command_line.documents.runs import GalleryDocument
from scripts.command_line.gallery.fetch import fetch_page
from scripts.command_line.gallery.local_run import LocalRun, local_runs, write_page
from scripts.command_line.gallery.open_page import open_page
from scripts.command_line.gallery.overview import write_overview
from scripts.command_line.gallery.share import share_run, shared_in_words
from scripts.command_line.results.download import LeftOut
from scripts.command_line.terminal.command_error import CommandError
from scripts.command_line.terminal.json_option import print_document
from scripts.command_line.terminal.plain_text import print_plain, say
from scripts.interruption.signals import when_interrupted


def show_folder(folder: Path, wanted: Sequence[str], *, browser: bool, as_json: bool) -> None:
    """Shows what lies in the folder. Raises `CommandError` where nothing does."""
    found = _show(_need_folder(folder), wanted, browser=browser)
    if as_json:
        print_document(found)


def show_bucket(
    session: boto3.Session,
    name: str,
    wanted: list[str],
    to: Path,
    *,
    full: bool,
    share: float | None,
    browser: bool,
    as_json: bool,
) -> None:
    """Downloads what pages need, and shows them, or makes a link for `share` hours. Raises `CommandError`."""
    now, console, left_out = datetime.now(UTC), Console(stderr=True), LeftOut()
    runs = _fetch(session, name, wanted, to, console, left_out, full=full)
    if share is not None:
        found = _share(session, name, to / runs[0].run_id, share, now, console)
    elif runs or local_runs(to):
        found = _show(to, [one.run_id for one in runs] if wanted else [], browser=browser)
    else:
        say(f"No runs in {name} yet.")
        found = GalleryDocument(runs=0, images=0)
    if as_json:
        print_document(found)
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


def _share(
    session: boto3.Session, bucket: str, folder: Path, hours: float, now: datetime, console: Console
) -> GalleryDocument:
    made = _write(folder)
    if made is None:
        raise CommandError(f"There is no image of {folder.name} yet, so there is nothing to share.")
    with when_interrupted(lambda: f"Interrupted. If a page of {folder.name} was uploaded, nobody has its link."):
        shared = share_run(session, bucket, made, hours, now=now)
        say(shared.link)
    print_plain(shared_in_words(shared, folder.name), console, soft_wrap=True)
    return GalleryDocument(runs=1, images=shared.images, link=shared.link, link_ends=shared.until)


def _show(root: Path, wanted: Sequence[str], *, browser: bool) -> GalleryDocument:
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
    return GalleryDocument(runs=len(made), images=images, page=str(page))


def _write(folder: Path) -> LocalRun | None:
    try:
        return write_page(folder)
    except OSError as error:
        raise CommandError(f"Could not write the page in {folder}: {error.strerror or error}.") from error


def _need_folder(folder: Path) -> Path:
    if not folder.is_dir():
        raise CommandError(
            f"There is no folder {folder}. `sd results --to {folder}` downloads runs into one.", exit_status=2
        )
    return folder
