"""`sd results`: shows the runs, and downloads their images."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.console import Console
from rich.table import Table

from scripts.command_line.account.runs import Run
from scripts.command_line.results.download import download, files_of
from scripts.command_line.terminal.plain_text import cell, print_plain

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


def show_runs(runs: list[Run], console: Console) -> None:
    """Prints a table of runs, and below the table why runs have failed or ended at MaxSpend."""
    table = Table("Run", "Started (UTC)", "State", "Images", box=None, pad_edge=False)
    table.columns[0].overflow = "fold"
    for run in runs:
        status = run.status
        started = run.started_at[:16].replace("T", " ") or "-"
        done = run.done
        if status and status.images_flagged:
            done += f" ({status.images_flagged} flagged)"
        table.add_row(cell(run.run_id), cell(started), run.state, done)
    console.print(table)
    if any(run.is_interrupted for run in runs):
        told = (
            "No machine works on what is interrupted. Its images stay, and it goes on when it is deployed or asked for "
            "again, or when an instance starts while it waits in a queue."
        )
        console.print(told, highlight=False, soft_wrap=True)
    for run in runs:
        if run.status and run.status.error:
            error = run.status.error
            print_plain(f"{run.run_id} failed at {error.step}: {error.message}", console)
        if run.status and run.status.note:
            print_plain(f"{run.run_id}: {run.status.note}", console)


def fetch_runs(s3: S3Client, bucket: str, runs: list[Run], folder: Path, console: Console) -> None:
    """Downloads the runs below `folder`, and ends with the line `N images -> FOLDER`.

    For one run, FOLDER is the folder with just its images. Raises `CommandError` as `download` does.
    """
    files = [file for run in runs for file in files_of(s3, bucket, run.run_id, folder)]
    download(s3, bucket, files, console)
    images = [file.path for file in files if file.path.parent.name == "samples" and file.path.suffix == ".png"]
    folders = {image.parent for image in images}
    where = folders.pop() if len(folders) == 1 else folder
    typer.echo(f"{len(images)} {'image' if len(images) == 1 else 'images'} -> {where}")
