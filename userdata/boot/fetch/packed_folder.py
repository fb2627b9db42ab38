"""A folder as objects of the bucket: parts, which are packed and moved side by side, and a manifest, written last.

A part is a compressed tar archive of its own, so that each is checked before it is unpacked, while others still come.
Rejected: one archive in ranges, which would have to lie on the disk as a whole before its hash is known; and zstd,
because every image has gzip, which at its quickest keeps up with a gp3 volume.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Iterator, List, Mapping, Tuple

from userdata.boot.fetch.bucket import Bucket
from userdata.boot.fetch.tree import check_tree
from userdata.boot.machine.commands import answer_of
from userdata.boot.machine.file_hash import sha256_of
from userdata.boot.machine.side_by_side import side_by_side
from userdata.contract.outside import read_json
from userdata.contract.status import utc_now

SCHEMA = 1
MANIFEST = "manifest.json"
PART_BYTES = 256 << 20
TAR_SECONDS = 900
# More than any environment has, and than any disk.
MOST_PARTS = 1000
MOST_BYTES = 1 << 62


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
    bucket: Bucket,
    prefix: str,
    folder: Path,
    *,
    staging: Path,
    built_from: Mapping[str, str],
    part_bytes: int = PART_BYTES,
) -> int:
    """Writes `folder` below `prefix`, the manifest last, and returns how many bytes the parts have.

    Nothing that is there is replaced. Parts are named by their content, and packed in `staging`, which is emptied.
    `part_bytes` is about what a part holds before compression. Raises `StepError`, also for a folder that
    `unpack_folder` would refuse.
    """
    unpacked_bytes = check_tree(folder)
    emptied(staging)

    def pack(numbered: Tuple[int, List[str]]) -> Part:
        file = staging / f"{numbered[0]}.tar.gz"
        options = ("--create", "--use-compress-program=gzip -1", f"--file={file}", f"--directory={folder}", *_LISTED)
        answer_of(["tar", *options], seconds=TAR_SECONDS, text="\0".join(numbered[1]))
        part = Part(sha256_of(file), file.stat().st_size)
        bucket.put_once(file, prefix + part.name, staging=staging)
        file.unlink()
        return part

    try:
        parts = side_by_side(pack, enumerate(_groups(folder, part_bytes)))
        manifest = {
            "schema": SCHEMA,
            "built_from": dict(built_from),
            "created_at": utc_now(),
            "unpacked_bytes": unpacked_bytes,
            "parts": [asdict(part) for part in parts],
        }
        (staging / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", "utf-8")
        bucket.put_once(staging / MANIFEST, prefix + MANIFEST, staging=staging)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return sum(part.bytes for part in parts)


def read_manifest(text: str) -> Tuple[List[Part], int]:
    """The parts that a manifest names, and how many bytes they have unpacked. Raises `ValueError`."""
    try:
        document = read_json(text)
        if document["schema"] != SCHEMA:
            raise ValueError(f"schema {document['schema']!r}")
        parts = [Part(str(part["sha256"]), _count(part["bytes"])) for part in document["parts"]]
        if not 0 < len(parts) <= MOST_PARTS or not all(re.fullmatch("[0-9a-f]{64}", part.sha256) for part in parts):
            raise ValueError("its parts have no hashes")
        return parts, _count(document["unpacked_bytes"])
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"the manifest is not one ({type(error).__name__}: {error})") from error


def folder_fingerprint(folder: Path) -> str:
    """A SHA-256, in hexadecimal, over the paths of what lies below `folder`, which tells a folder that has grown.

    Not over sizes: Triton names its folders by what it compiles, and where its folder lies changes the size of some
    files. Seen on an H200: on a machine with another folder 23 of 192 files changed their sizes, and none was new.
    """
    lines = [f"{path.relative_to(folder)}\n" for path in sorted(folder.rglob("*"))]
    return hashlib.sha256("".join(lines).encode("utf-8", "surrogateescape")).hexdigest()


def emptied(folder: Path) -> Path:
    """`folder`, made anew."""
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    return folder


_LISTED = ("--no-recursion", "--null", "--verbatim-files-from", "--files-from=-")


def _count(value: object) -> int:
    if type(value) is not int or not 0 <= value <= MOST_BYTES:
        raise ValueError(f"{str(value)[:20]!r} is no number of bytes")
    return value


def _groups(folder: Path, part_bytes: int) -> Iterator[List[str]]:
    """The paths below `folder`, directories too, in order, `part_bytes` or a little more in each group."""
    group: List[str] = []
    size = 0
    for path in sorted(folder.rglob("*")):
        group.append(str(path.relative_to(folder)))
        size += path.lstat().st_size if not path.is_dir() else 0
        if size >= part_bytes:
            yield group
            group, size = [], 0
    if group:
        yield group


if __name__ == "__main__":
    print(folder_fingerprint(Path(sys.argv[1])))  # noqa: T201
