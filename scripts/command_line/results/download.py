"""Downloads runs from the bucket: only files that are not here yet, and each file whole or not at all."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from scripts.command_line.terminal.command_error import CommandError, aws_errors_in_words
from scripts.interruption.scratch_folder import scratch_folder
from scripts.interruption.signals import when_interrupted
from userdata.contract.layout import RUNS, RunKeys

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


@dataclass(frozen=True)
class RemoteFile:
    """One object, and the path of its copy here; `size` in bytes."""

    key: str
    size: int
    etag: str
    path: Path

    def is_here(self) -> bool:
        """Whether the file is here with the same content; S3's ETag of an object put in one part is its MD5."""
        if not self.path.is_file() or self.path.stat().st_size != self.size:
            return False
        if "-" in self.etag:
            return True
        return hashlib.md5(self.path.read_bytes(), usedforsecurity=False).hexdigest() == self.etag


def files_of(s3: S3Client, bucket: str, run_id: str, folder: Path) -> list[RemoteFile]:
    """The files of a run, to lie below `folder` as they lie below `runs/` in the bucket.

    Raises `CommandError` when the bucket cannot be read, or a key would lead out of the folder.
    """
    with aws_errors_in_words(f"list the files of {run_id} in {bucket}"):
        pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=RunKeys(run_id).prefix)
        objects = [entry for page in pages for entry in page.get("Contents", []) if not entry["Key"].endswith("/")]
    return [
        RemoteFile(entry["Key"], entry["Size"], entry["ETag"].strip('"'), _local_path(entry["Key"], folder))
        for entry in objects
    ]


def _local_path(key: str, folder: Path) -> Path:
    relative = PurePosixPath(key.removeprefix(RUNS))
    if relative.is_absolute() or ".." in relative.parts:
        raise CommandError(f"The key {key} leads out of {folder}, so it is not downloaded. Remove it from the bucket.")
    return folder / relative


def download(s3: S3Client, bucket: str, files: Iterable[RemoteFile], console: Console) -> int:
    """Downloads the files that are not here, with a progress bar on `console`, and returns their number.

    Raises `CommandError` for the first failure; the files that arrived stay, so that the next call goes on from there.
    """
    missing = [file for file in files if not file.is_here()]
    if not missing:
        return 0
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    is_over = threading.Event()

    def go_on(arrived: int) -> None:
        if is_over.is_set():
            raise CommandError("The download is over.")

    with (
        when_interrupted(lambda: "Interrupted. What has arrived is whole; the same command fetches the rest."),
        _unfinished(missing) as folder,
        Progress(*columns, console=console, transient=True) as progress,
        ThreadPoolExecutor(8) as pool,
    ):
        task = progress.add_task("Downloading", total=sum(file.size for file in missing))

        def fetch(numbered: tuple[int, RemoteFile]) -> None:
            number, file = numbered
            _fetch(s3, bucket, file, folder / str(number), go_on)
            progress.advance(task, file.size)

        with aws_errors_in_words(f"download from {bucket}"):
            try:
                for _ in pool.map(fetch, enumerate(missing)):
                    pass
            finally:
                is_over.set()  # ends what the other threads are at
    return len(missing)


@contextmanager
def _unfinished(files: Sequence[RemoteFile]) -> Iterator[Path]:
    """Where the files come to before they are whole: on the same disk, so that a rename puts them in place."""
    root = files[0].path.parents[len(PurePosixPath(files[0].key.removeprefix(RUNS)).parts) - 1]
    with ExitStack() as until_then:
        try:
            folder = until_then.enter_context(scratch_folder(".sd-unfinished-", root))
        except OSError as error:
            raise _not_written(root, error) from error
        yield folder


def _not_written(path: Path, error: OSError) -> CommandError:
    return CommandError(f"Could not write {path}: {error.strerror}. Name another folder: --to FOLDER")


def _fetch(s3: S3Client, bucket: str, file: RemoteFile, unfinished: Path, go_on: Callable[[int], None]) -> None:
    try:
        file.path.parent.mkdir(parents=True, exist_ok=True)
        s3.download_file(bucket, file.key, str(unfinished), Callback=go_on)
        unfinished.replace(file.path)
    except OSError as error:
        raise _not_written(file.path, error) from error
