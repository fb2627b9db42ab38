"""A folder as objects of the bucket: parts that are packed, moved and unpacked side by side, and a manifest.

A part is a compressed tar archive of its own, so that each is checked before it is unpacked, while others still come.
Rejected: one archive in ranges, which would have to lie on the disk as a whole before its hash is known; and zstd,
because every image has gzip, which at its quickest keeps up with a gp3 volume.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Callable, Iterable, Iterator, List, Mapping, TypeVar

from userdata.boot.fetch.bucket import Bucket
from userdata.boot.machine.commands import answer_of
from userdata.boot.machine.disk_space import check_space
from userdata.boot.machine.file_hash import sha256_of
from userdata.boot.machine.step_error import StepError
from userdata.contract.status import utc_now

SCHEMA = 1
MANIFEST = "manifest.json"
PART_BYTES = 256 << 20
MARGIN_BYTES = 1 << 30
TAR_SECONDS = 900
Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Part:
    """One object beside the manifest, named by its SHA-256 in hexadecimal."""

    sha256: str
    bytes: int

    @property
    def name(self) -> str:
        """The last part of the object's key."""
        return f"{self.sha256}.tar.gz"


def pack_folder(
    bucket: Bucket, prefix: str, folder: Path, *, built_from: Mapping[str, str], part_bytes: int = PART_BYTES
) -> int:
    """Writes `folder` below `prefix`, the manifest last, and returns how many bytes the parts have.

    Parts are named by their content: a cut-off upload leaves an older manifest and what it names as they were.
    `part_bytes` is about what a part holds before compression. Raises `StepError`.
    """
    staging = _emptied(folder.with_name(f".{folder.name}.packing"))

    def pack(numbered: tuple[int, List[str]]) -> Part:
        file = staging / f"{numbered[0]}.tar.gz"
        _tar("--create", "--use-compress-program=gzip -1", file, folder, *_LISTED, names=numbered[1])
        part = Part(sha256_of(file), file.stat().st_size)
        bucket.put_file(file, prefix + part.name)
        file.unlink()
        return part

    try:
        parts = _side_by_side(pack, enumerate(_groups(folder, part_bytes)))
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    manifest = {
        "schema": SCHEMA,
        "built_from": dict(built_from),
        "created_at": utc_now(),
        "unpacked_bytes": sum(_size(path) for path in folder.rglob("*")),
        "parts": [asdict(part) for part in parts],
    }
    bucket.put(prefix + MANIFEST, json.dumps(manifest, indent=2) + "\n")
    return sum(part.bytes for part in parts)


def unpack_folder(bucket: Bucket, prefix: str, folder: Path) -> bool:
    """Makes `folder` from the objects below `prefix`; False when there are none.

    Every part is verified before it is unpacked, and the whole is renamed into place, so that `folder` is there whole
    or not at all. Raises `StepError`, or `ValueError` for a manifest that is none.
    """
    text = bucket.get(prefix + MANIFEST)
    if text is None:
        return False
    parts, needed = _read_manifest(text)
    whole = _emptied(folder.with_name(f".{folder.name}.unpacking"))
    staging = _emptied(folder.with_name(f".{folder.name}.parts"))
    try:
        check_space(folder, needed + MARGIN_BYTES)

        def unpack(part: Part) -> None:
            file = staging / part.name
            if not bucket.get_file(prefix + part.name, file):
                raise StepError(f"{prefix}{part.name} is missing")
            if sha256_of(file) != part.sha256:
                raise StepError(f"{prefix}{part.name} is damaged")
            # GNU tar takes a leading / away, and refuses members with .. in their names.
            _tar("--extract", "--gzip", file, whole, "--no-same-owner")
            file.unlink()

        _side_by_side(unpack, parts)
        _remove(folder)
        whole.rename(folder)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
        shutil.rmtree(whole, ignore_errors=True)
    return True


def folder_fingerprint(folder: Path) -> str:
    """A SHA-256, in hexadecimal, over the paths of what lies below `folder`, which tells a folder that has grown.

    Not over sizes: Triton names its folders by what it compiles, and where its folder lies changes the size of some
    files. Seen on an H200: on a machine with another folder 23 of 192 files changed their sizes, and none was new.
    """
    lines = [f"{path.relative_to(folder)}\n" for path in sorted(folder.rglob("*"))]
    return hashlib.sha256("".join(lines).encode("utf-8", "surrogateescape")).hexdigest()


_LISTED = ("--no-recursion", "--null", "--verbatim-files-from", "--files-from=-")


def _tar(action: str, how: str, file: Path, folder: Path, *options: str, names: Iterable[str] = ()) -> None:
    words = ["tar", action, how, f"--file={file}", f"--directory={folder}", *options]
    answer_of(words, seconds=TAR_SECONDS, text="\0".join(names))


def _groups(folder: Path, part_bytes: int) -> Iterator[List[str]]:
    """The paths below `folder`, directories too, in order, `part_bytes` or a little more in each group."""
    group: List[str] = []
    size = 0
    for path in sorted(folder.rglob("*")):
        group.append(str(path.relative_to(folder)))
        size += _size(path)
        if size >= part_bytes:
            yield group
            group, size = [], 0
    if group:
        yield group


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() and not path.is_symlink() else 0


def _read_manifest(text: str) -> tuple[List[Part], int]:
    try:
        document = json.loads(text)
        if document["schema"] != SCHEMA:
            raise ValueError(f"schema {document['schema']!r}")
        parts = [Part(sha256=str(part["sha256"]), bytes=int(part["bytes"])) for part in document["parts"]]
        if not parts or not all(re.fullmatch("[0-9a-f]{64}", part.sha256) for part in parts):
            raise ValueError("its parts have no hashes")
        return parts, int(document["unpacked_bytes"])
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"the manifest is not one ({type(error).__name__}: {error})") from error


def _side_by_side(action: Callable[[Item], Result], items: Iterable[Item]) -> List[Result]:
    """`action` of each item, in order, as many at a time as there are processors; the first error ends it."""
    executor = ThreadPoolExecutor(max_workers=max(2, os.cpu_count() or 2))
    try:
        return [future.result() for future in [executor.submit(action, item) for item in items]]
    finally:
        executor.shutdown(cancel_futures=True)


def _emptied(folder: Path) -> Path:
    _remove(folder)
    folder.mkdir(parents=True)
    return folder


def _remove(folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)
