"""The file names of a batch's images: those that a person gave them, and else their numbers."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import botocore.exceptions

from scripts.command_line.results.download import LeftOut, RemoteFile, local_path, objects_below, remote_file
from scripts.command_line.terminal.command_error import aws_errors_in_words
from userdata.batch.documents import Batch
from userdata.batch.unit import MOST_LINE_BYTES, Unit, UnitImage
from userdata.contract.layout import RunKeys

if TYPE_CHECKING:
    import sqlite3

    from mypy_boto3_s3 import S3Client

# Where a batch's images are, without and with an initial image.
FOLDERS = ("txt2img-samples/samples/", "img2img-samples/samples/")
_IMAGE = re.compile(r"(?P<index>\d{5})(?P<ending>\.png|\.json)")


class Names:
    """The names of the images by their indices, on the disk: a dictionary of 100,000 would take some 20 MB.

    No two images have one name, whatever stands in the units: a name that another image has, in capitals or not, and
    one that looks like a number get the image's own number behind it.
    """

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        database.execute("CREATE TABLE names (number INTEGER PRIMARY KEY, name TEXT UNIQUE COLLATE NOCASE)")

    def add(self, image: UnitImage) -> None:
        """Notes the name that the image was given, if any."""
        if image.name is None:
            return
        with_number = f"{image.name}-{image.index:05}"
        is_free = not re.fullmatch(r"\d{5}", image.name)
        for name in (image.name, with_number) if is_free else (with_number,):
            if self._database.execute("INSERT OR IGNORE INTO names VALUES (?, ?)", (image.index, name)).rowcount:
                return

    def __getitem__(self, index: int) -> str:
        found = self._database.execute("SELECT name FROM names WHERE number = ?", (index,)).fetchone()
        return str(found[0]) if found else f"{index:05}"


@contextmanager
def read_names(s3: S3Client, bucket: str, run_id: str, batch: Batch) -> Iterator[Names]:
    """The names that stand in the batch's units, for a while. Lines that cannot be read are passed over.

    Raises `CommandError` when the bucket cannot be read.
    """
    import sqlite3  # here, because most commands that import this module name no image

    # With an empty name SQLite keeps what does not fit into its memory in a file, and removes that by itself.
    with closing(sqlite3.connect("", isolation_level=None)) as database:
        names = Names(database)
        database.execute("BEGIN")
        for part in range(len(batch.parts)):
            for line in _lines(s3, bucket, RunKeys(run_id).units(part)):
                try:
                    unit = Unit.from_line(line)
                except ValueError:
                    continue
                for image in unit.images:
                    names.add(image)
        yield names


def _lines(s3: S3Client, bucket: str, key: str) -> Iterator[bytes]:
    """The lines of an object; one that is too long comes in pieces."""
    with aws_errors_in_words(f"read {key} in {bucket}"):
        try:
            body = s3.get_object(Bucket=bucket, Key=key)["Body"]
        except botocore.exceptions.ClientError as error:
            if error.response["Error"]["Code"] in ("NoSuchKey", "404"):
                return
            raise
        lines = io.BufferedReader(body)  # type: ignore[type-var]
        while line := lines.readline(MOST_LINE_BYTES + 1):
            yield line


def named_files(
    s3: S3Client, bucket: str, run_id: str, folder: Path, names: Names, left_out: LeftOut
) -> Iterator[RemoteFile]:
    """The images of a batch and the JSON beside each, by their names. Raises `CommandError` as `files_of` does."""
    for below in FOLDERS:
        prefix = RunKeys(run_id).prefix + below
        for entry in objects_below(s3, bucket, prefix):
            # Whatever else somebody has put there is passed over.
            if found := _IMAGE.fullmatch(entry["Key"].removeprefix(prefix)):
                name = names[int(found["index"])] + found["ending"]
                try:
                    yield remote_file(entry, local_path(prefix + name, folder))
                except ValueError as error:
                    left_out.note(entry["Key"], str(error))
