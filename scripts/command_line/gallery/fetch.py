"""Brings what pages are made of from the bucket: thumbnails, shards, documents, and images that no shard tells of."""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from scripts.command_line.account.objects import read_if_possible
from scripts.command_line.account.runs import Run
from scripts.command_line.gallery.local_run import shards_in
from scripts.command_line.results.download import LeftOut, RemoteFile, download, local_path, objects_below, remote_file
from scripts.command_line.results.fetch_results import listed_files
from userdata.contract.atomic_file import write_atomically
from userdata.contract.layout import RunKeys
from userdata.page.shard import Shard

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

AT_ONCE = 8
DOCUMENTS = ("job.json", "status.json", "report.json", "gpu.csv", "batch.json")
THUMBNAIL = re.compile(r"page/thumbnails/[0-9]{5}\.webp")
MACHINE = re.compile(r"machines/[0-9A-Za-z-]{1,40}\.json")
SHARD = re.compile(r"page/shards/[0-9]{1,6}(-[0-9]{6})?\.js")
IMAGE = re.compile(r"(?:txt2img|img2img)-samples/samples/(?P<index>[0-9]{5})\.(?:png|json)")


def fetch_page(
    s3: S3Client, bucket: str, run: Run, root: Path, console: Console, left_out: LeftOut, *, full: bool
) -> None:
    """Brings the parts of one run's page into `root`, with all its images for `full`. What is here is not fetched.

    What cannot be had is noted in `left_out`. Raises `CommandError` as `download` does.
    """
    keys = RunKeys(run.run_id)
    try:
        folder = local_path(keys.prefix, root)
    except ValueError as error:
        left_out.note(keys.prefix, str(error))
        return
    shards: list[RemoteFile] = []

    def parts() -> Iterator[RemoteFile]:
        for entry in objects_below(s3, bucket, keys.prefix):
            name = entry["Key"].removeprefix(keys.prefix)
            if SHARD.fullmatch(name):
                shards.append(remote_file(entry, local_path(entry["Key"], root)))
            elif name in DOCUMENTS or THUMBNAIL.fullmatch(name) or MACHINE.fullmatch(name):
                yield remote_file(entry, local_path(entry["Key"], root))

    download(s3, bucket, parts(), root, console, left_out)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(lambda shard: _fetch_shard(s3, bucket, shard, left_out), shards))
    told = {image.index for shard in shards_in(folder).values() for image in shard.images}

    def images() -> Iterator[RemoteFile]:
        for file in list_files():
            found = IMAGE.fullmatch(file.key.removeprefix(keys.prefix))
            if found and (full or int(found["index"]) not in told):
                yield file

    with listed_files(s3, bucket, run, root, left_out) as list_files:
        download(s3, bucket, images(), root, console, left_out)


def _fetch_shard(s3: S3Client, bucket: str, file: RemoteFile, left_out: LeftOut) -> None:
    """Writes what a shard says, and not the shard itself: whoever may write to the bucket may put any script there."""
    if file.is_here():
        return
    try:
        shard = Shard.from_script(read_if_possible(s3, bucket, file.key) or b"")
    except ValueError:
        left_out.note(file.key, "it is no part of a page")
        return
    write_atomically(file.path, shard.to_script())
