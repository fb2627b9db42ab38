"""Downloads runs from the bucket: only files that are not here yet, and each file whole or not at all."""

from __future__ import annotations

import errno
import hashlib
import itertools
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import botocore.exceptions
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from scripts.command_line.results.written import UNFINISHED
from scripts.command_line.terminal.command_error import CommandError, aws_errors_in_words
from scripts.command_line.terminal.plain_text import on_one_line
from scripts.interruption.scratch_folder import scratch_folder
from scripts.interruption.signals import when_interrupted
from userdata.contract.layout import RUNS, RunKeys

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import ObjectTypeDef

AT_ONCE = 8
TOGETHER = 1000
# Of a file's name, on every usual file system, less an ending.
MOST_NAME_BYTES = 240
MOST_NAMED = 20
# Beside the folders of runs lie their ZIPs and CSVs and the gallery's page, which need their names, and some file
# systems take small and capital letters for one.
RUN_NAME = re.compile(r"[a-z0-9-]+")
RUN_FOLDERS = tuple(
    [folder, *below]
    for folder in ("txt2img-samples", "img2img-samples", "units", "failed", "machines", "tries", "page", "shared")
    for below in ([], ["samples"], ["shards"], ["thumbnails"])
)
# What the file system says where another file or folder is in the way, or the whole path is too long.
OF_ONE_FILE = (errno.ENAMETOOLONG, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENOTEMPTY, errno.EILSEQ)
# What S3 answers where this object alone cannot be had: it is gone, archived, or encrypted with somebody's own key.
# The first request for an object is answered without a body, and so with the status alone.
OF_ONE_OBJECT = ("400", "403", "404", "AccessDenied", "InvalidObjectState", "InvalidRequest", "NoSuchKey")


class LeftOut:
    """The objects that are not downloaded, each with the reason. Thread-safe."""

    def __init__(self) -> None:
        self.reasons: dict[str, str] = {}

    def note(self, key: str, why: str) -> None:
        """Says why there is no copy of `key`. The same key counts once."""
        self.reasons[key] = why

    def __contains__(self, file: RemoteFile) -> bool:
        return file.key in self.reasons

    def tell(self) -> None:
        """Raises `CommandError`, which names them, if there are any."""
        if not self.reasons:
            return
        count = len(self.reasons)
        named = [f"\n  {on_one_line(key)}: {why}." for key, why in itertools.islice(self.reasons.items(), MOST_NAMED)]
        more = f"\n  and {count - MOST_NAMED:,} more." if count > MOST_NAMED else ""
        raise CommandError(
            f"{count:,} {'object was' if count == 1 else 'objects were'} not downloaded. Everything else is here; look "
            f"at what lies in the bucket under these names, and who put it there:{''.join(named)}{more}"
        )


@dataclass(frozen=True)
class RemoteFile:
    """One object, and the path of its copy here; `size` in bytes."""

    key: str
    size: int
    etag: str
    path: Path

    def is_here(self) -> bool:
        """Whether the file is here with the same content; S3's ETag of an object put in one part is its MD5."""
        try:
            if not self.path.is_file() or self.path.stat().st_size != self.size:
                return False
            if "-" in self.etag:
                return True
            return hashlib.md5(self.path.read_bytes(), usedforsecurity=False).hexdigest() == self.etag
        except OSError:
            return False  # writing it says more


def files_of(s3: S3Client, bucket: str, run_id: str, folder: Path, left_out: LeftOut) -> Iterator[RemoteFile]:
    """The files of a run, to lie below `folder` as they lie below `runs/` in the bucket.

    What can be no file there is noted in `left_out`. Raises `CommandError` when the bucket cannot be read.
    """
    above: list[str] = []  # S3 lists in order: what this key begins with came just before
    for entry in objects_below(s3, bucket, RunKeys(run_id).prefix):
        key = entry["Key"]
        while above and not key.startswith(above[-1]):
            above.pop()
        try:
            path = local_path(key, folder)
            if any(key.startswith(f"{one}/") for one in above):
                raise ValueError("another object has the name of its folder")
        except ValueError as error:
            left_out.note(key, str(error))
            continue
        if not key.endswith("/"):
            above.append(key)
            yield remote_file(entry, path)


def objects_below(s3: S3Client, bucket: str, prefix: str) -> Iterator[ObjectTypeDef]:
    """The objects whose keys begin so, a thousand for each request. Raises `CommandError`."""
    with aws_errors_in_words(f"list {prefix} in {bucket}"):
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
            yield from page.get("Contents", [])


def remote_file(entry: ObjectTypeDef, path: Path) -> RemoteFile:
    """A listed object, with the path of its copy here."""
    return RemoteFile(entry["Key"], entry["Size"], entry["ETag"].strip('"'), path)


def local_path(key: str, folder: Path) -> Path:
    """Where the copy of a key below `runs/` lies. Raises `ValueError`, with the reason, for one that can have none."""
    parts = key.removeprefix(RUNS).removesuffix("/").split("/")
    if not all(parts) or {".", ".."} & {*parts}:
        raise ValueError("its name leads elsewhere")
    if any(part.startswith(".") for part in parts):
        raise ValueError("it would be hidden, as what is unfinished is")
    if on_one_line(key) != key:
        raise ValueError("its name has characters that a terminal obeys or hides")
    if max(len(part.encode()) for part in parts) > MOST_NAME_BYTES:
        raise ValueError("its name is too long")
    if not RUN_NAME.fullmatch(parts[0]):
        raise ValueError("no run has such a name")
    if parts[1:] in RUN_FOLDERS and not key.endswith("/"):
        raise ValueError("a folder of the run has its name")
    return folder.joinpath(*parts)


def download(
    s3: S3Client, bucket: str, files: Iterable[RemoteFile], folder: Path, console: Console, left_out: LeftOut
) -> int:
    """Downloads the files that are not here, with a progress bar on `console`, and returns their number.

    They come below `folder` a thousand at a time, as S3 lists them, so that a run may have any number of them. An
    object that cannot be had, or has no place here, is noted in `left_out`. Raises `CommandError` for the first other
    failure; the files that arrived stay, so that the next call goes on from there.
    """
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    fetched = 0
    with (
        when_interrupted(lambda: "Interrupted. What has arrived is whole; the same command fetches the rest."),
        ThreadPoolExecutor(AT_ONCE) as pool,
        ExitStack() as shown,
    ):
        # Without a terminal Rich would end the bar that nobody sees with an empty line.
        progress = Progress(*columns, console=console, transient=True, disable=not console.is_interactive)
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
                _fetch_all(s3, bucket, missing, folder, pool, lambda file: progress.advance(task, file.size), left_out)
            fetched += sum(file not in left_out for file in missing)
    return fetched


def _fetch_all(
    s3: S3Client,
    bucket: str,
    missing: Sequence[RemoteFile],
    folder: Path,
    pool: ThreadPoolExecutor,
    tell: Callable[[RemoteFile], None],
    left_out: LeftOut,
) -> None:
    is_over = threading.Event()

    def go_on(arrived: int) -> None:
        if is_over.is_set():
            raise CommandError("The download is over.")

    with _unfinished(folder) as unfinished:

        def fetch(numbered: tuple[int, RemoteFile]) -> None:
            number, file = numbered
            try:
                _fetch(s3, bucket, file, unfinished / str(number), go_on)
            except botocore.exceptions.ClientError as error:
                if error.response["Error"]["Code"] not in OF_ONE_OBJECT:
                    raise
                s3.list_objects_v2(Bucket=bucket, Prefix=RUNS, MaxKeys=1)  # or the keys have expired
                left_out.note(file.key, f"S3 answers {error.response['Error']['Code']}")
            except OSError as error:
                if error.errno not in OF_ONE_FILE:
                    raise _not_written(file.path, error) from error
                left_out.note(file.key, f"{file.path.name} cannot lie here: {error.strerror}")
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
            folder = until_then.enter_context(scratch_folder(UNFINISHED, root))
        except OSError as error:
            raise _not_written(root, error) from error
        yield folder


def _not_written(path: Path, error: OSError) -> CommandError:
    return CommandError(f"Could not write {path}: {error.strerror}. Name another folder: --to FOLDER")


def _fetch(s3: S3Client, bucket: str, file: RemoteFile, unfinished: Path, go_on: Callable[[int], None]) -> None:
    file.path.parent.mkdir(parents=True, exist_ok=True)
    s3.download_file(bucket, file.key, str(unfinished), Callback=go_on)
    unfinished.replace(file.path)
