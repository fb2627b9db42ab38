"""Downloads runs from the bucket: only files that are not here yet, and each file whole or not at all."""

from __future__ import annotations

import hashlib
import itertools
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
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
    from mypy_boto3_s3.type_defs import ObjectTypeDef

AT_ONCE = 8
TOGETHER = 1000


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


def files_of(s3: S3Client, bucket: str, run_id: str, folder: Path) -> Iterator[RemoteFile]:
    """The files of a run, to lie below `folder` as they lie below `runs/` in the bucket.

    Raises `CommandError` when the bucket cannot be read, or a key would lead out of the folder.
    """
    for entry in objects_below(s3, bucket, RunKeys(run_id).prefix):
        if not entry["Key"].endswith("/"):
            yield remote_file(entry, local_path(entry["Key"], folder))


def objects_below(s3: S3Client, bucket: str, prefix: str) -> Iterator[ObjectTypeDef]:
    """The objects whose keys begin so, a thousand for each request. Raises `CommandError`."""
    with aws_errors_in_words(f"list {prefix} in {bucket}"):
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
            yield from page.get("Contents", [])


def remote_file(entry: ObjectTypeDef, path: Path) -> RemoteFile:
    """A listed object, with the path of its copy here."""
    return RemoteFile(entry["Key"], entry["Size"], entry["ETag"].strip('"'), path)


def local_path(key: str, folder: Path) -> Path:
    """Where the copy of a key below `runs/` lies. Raises `CommandError` for one that would lead out of `folder`."""
    relative = PurePosixPath(key.removeprefix(RUNS))
    if relative.is_absolute() or ".." in relative.parts:
        raise CommandError(f"The key {key} leads out of {folder}, so it is not downloaded. Remove it from the bucket.")
    return folder / relative


def download(s3: S3Client, bucket: str, files: Iterable[RemoteFile], folder: Path, console: Console) -> int:
    """Downloads the files that are not here, with a progress bar on `console`, and returns their number.

    They come below `folder` a thousand at a time, as S3 lists them, so that a run may have any number of them. Raises
    `CommandError` for the first failure; the files that arrived stay, so that the next call goes on from there.
    """
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    fetched = 0
    with (
        when_interrupted(lambda: "Interrupted. What has arrived is whole; the same command fetches the rest."),
        ThreadPoolExecutor(AT_ONCE) as pool,
        ExitStack() as shown,
    ):
        progress = Progress(*columns, console=console, transient=True)
        task = progress.add_task("Downloading", total=0)
        total = 0
        every = iter(files)
        while some := list(itertools.islice(every, TOGETHER)):
            here = pool.map(RemoteFile.is_here, some)
            missing = [file for file, is_here in zip(some, here, strict=True) if not is_here]
            total += sum(file.size for file in missing)
            progress.update(task, total=total)
            if missing:
                if not fetched:
                    shown.enter_context(progress)
                _fetch_all(s3, bucket, missing, folder, pool, lambda file: progress.advance(task, file.size))
            fetched += len(missing)
    return fetched


def _fetch_all(
    s3: S3Client,
    bucket: str,
    missing: Sequence[RemoteFile],
    folder: Path,
    pool: ThreadPoolExecutor,
    tell: Callable[[RemoteFile], None],
) -> None:
    is_over = threading.Event()

    def go_on(arrived: int) -> None:
        if is_over.is_set():
            raise CommandError("The download is over.")

    with _unfinished(folder) as unfinished:

        def fetch(numbered: tuple[int, RemoteFile]) -> None:
            number, file = numbered
            _fetch(s3, bucket, file, unfinished / str(number), go_on)
            tell(file)

        with aws_errors_in_words(f"download from {bucket}"):
            fetching = [pool.submit(fetch, numbered) for numbered in enumerate(missing)]
            try:
                for one in fetching:
                    one.result()
            finally:
                is_over.set()  # ends what the other threads are at
                wait(fetching)


@contextmanager
def _unfinished(root: Path) -> Iterator[Path]:
    """Where the files come to before they are whole: on the same disk, so that a rename puts them in place."""
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
