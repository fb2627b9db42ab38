"""`sd results`: shows the runs, and downloads their images."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from scripts.command_line.account.runs import Run
from scripts.command_line.documents.runs import Download, DrawnDocument, ImageCount, LeftOutRow, RunError, RunRow
from scripts.command_line.results.download import LeftOut, RemoteFile, download, files_of, local_path
from scripts.command_line.results.names import named_files, read_names
from scripts.command_line.terminal.json_option import print_document
from scripts.command_line.terminal.plain_text import cell, print_plain, say
from userdata.contract.layout import RunKeys

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

MOST_SHOWN = 4
Tell = Callable[[Sequence[Run], Download], None]

INTERRUPTED = (
    "No machine works on what is interrupted. Its images stay, and it goes on when it is deployed or asked for again, "
    "or when an instance starts while it waits in a queue."
)
INTERRUPTED_FOR_GOOD = (
    "The stack of what is interrupted was deleted, and its queues with it: no machine works on it. Its images stay."
)


def show_runs(runs: list[Run], console: Console, *, is_left: bool = False) -> None:
    """Prints a table of runs, and below the table why runs have failed or ended at MaxSpend.

    `is_left` says that their stack is gone, so that nothing goes on by itself.
    """
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
    if any(run.state == "interrupted" for run in runs):
        told = INTERRUPTED_FOR_GOOD if is_left else INTERRUPTED
        console.print(told, highlight=False, soft_wrap=True)
    for run in runs:
        if run.status and run.status.error:
            error = run.status.error
            print_plain(f"{run.run_id} failed at {error.step}: {error.message}", console)
        if run.status and run.status.note:
            print_plain(f"{run.run_id}: {run.status.note}", console)
        if run.told:
            print_plain(f"{run.run_id}: {run.told}", console)


def run_row(run: Run) -> RunRow:
    """The same of one run with a job of its own, for programs."""
    status = run.status
    error = status.error if status else None
    return RunRow(
        run_id=run.run_id,
        state=run.state,
        started_at=run.started_at or None,
        images=ImageCount(done=status.images_done, total=status.images_total) if status else None,
        flagged=status.images_flagged if status else 0,
        error=RunError(step=error.step, message=error.message) if error else None,
        note=(status.note or None) if status else None,
    )


def print_drawn(runs: Sequence[Run], fetched: Download) -> None:
    """Prints the document of one run that was drawn and downloaded."""
    (run,) = runs
    print_document(DrawnDocument(run=run_row(run), download=fetched))


def fetch_runs(
    s3: S3Client,
    bucket: str,
    runs: Sequence[Run],
    folder: Path,
    console: Console,
    *,
    as_zip: bool = False,
    as_csv: bool = False,
    tell: Tell | None = None,
    show: bool = False,
) -> None:
    """Downloads the runs below `folder`, and ends with the line `N images -> FOLDER`.

    For one run, FOLDER is the folder with just its images. With `as_zip` and `as_csv` each run gets such a file beside
    its folder; `tell` is called with what has come, and
    `show` shows the last images in the terminal. Raises `CommandError` as `download` does, and in the end where
    objects were left out.
    """
    count, folders, left_out = 0, set[Path](), LeftOut()
    named: list[str] = []
    last: deque[Path] = deque(maxlen=MOST_SHOWN)
    for run in runs:
        try:
            local_path(RunKeys(run.run_id).prefix, folder)
        except ValueError as error:
            left_out.note(RunKeys(run.run_id).prefix, str(error))
            continue
        with listed_files(s3, bucket, run, folder, left_out) as list_files:
            download(s3, bucket, list_files(), folder, console, left_out)
            for image in _images(list_files(), left_out):
                count += 1
                folders.add(image.parent)
                last.append(image)
                if tell:
                    named.append(str(image))
            if as_zip:
                # Here, as below, because the library of pictures takes long to load, and `sd status` needs none.
                from scripts.command_line.results.together import write_zip

                path = folder / f"{run.run_id}.zip"
                print_plain(
                    f"{path}: {write_zip(path, run.run_id, _images(list_files(), left_out)):,} images.", console
                )
            if as_csv:
                _write_csv(folder / f"{run.run_id}.csv", _images(list_files(), left_out), console)
    where = folders.pop() if len(folders) == 1 else folder
    say(f"{count} {'image' if count == 1 else 'images'} -> {where}")
    if show:
        from scripts.command_line.terminal.pictures import show_pictures

        show_pictures([*last], Console())
    if tell:
        left = [LeftOutRow(key=key, why=why) for key, why in left_out.reasons.items()]
        tell(runs, Download(folder=str(where), images=named, left_out=left))
    left_out.tell()


@contextmanager
def listed_files(
    s3: S3Client, bucket: str, run: Run, folder: Path, left_out: LeftOut
) -> Iterator[Callable[[], Iterator[RemoteFile]]]:
    """Lists the run's files as often as it is called, because a list of them all would take memory for each.

    Of a page there is none among them: a script of the bucket is not put where somebody opens it. See `sd gallery`.
    """
    keys = RunKeys(run.run_id)
    if run.batch is None:
        of_a_page = (keys.index, keys.page, keys.shared_pages)
        yield lambda: (
            file for file in files_of(s3, bucket, run.run_id, folder, left_out) if not file.key.startswith(of_a_page)
        )
        return
    with read_names(s3, bucket, run.run_id, run.batch) as names:
        yield lambda: named_files(s3, bucket, run.run_id, folder, names, left_out)


def _images(files: Iterable[RemoteFile], left_out: LeftOut) -> Iterator[Path]:
    here = (file.path for file in files if file not in left_out)
    return (path for path in here if path.parent.name == "samples" and path.suffix == ".png")


def _write_csv(path: Path, images: Iterator[Path], console: Console) -> None:
    from scripts.command_line.results.together import write_csv

    rows, unreadable = write_csv(path, images)
    odd = f" Of {unreadable} the JSON cannot be read: their rows have the name alone." if unreadable else ""
    print_plain(f"{path}: {rows:,} rows.{odd}", console)
