"""Unpacks a folder that `packed_folder` has packed; run as the user `sd-fetch`, since anybody's bytes may come.

Each part is unpacked into a folder of its own, which has no link of another part, and is then merged by renames.
"""

from __future__ import annotations

import resource
import shutil
import sys
import threading
from pathlib import Path
from typing import Optional

from userdata.boot.fetch.bucket import Bucket
from userdata.boot.fetch.packed_folder import MANIFEST, TAR_SECONDS, Part, emptied, read_manifest
from userdata.boot.fetch.tree import check_tree, merge_tree
from userdata.boot.fetch.versions import Versions
from userdata.boot.machine.commands import User, answer_of
from userdata.boot.machine.disk_space import check_space
from userdata.boot.machine.fetcher import main_apart, run_apart
from userdata.boot.machine.file_hash import sha256_of
from userdata.boot.machine.side_by_side import side_by_side
from userdata.boot.machine.step_error import StepError
from userdata.contract.patience import Patience

MARGIN_BYTES = 1 << 30
MANIFEST_BYTES = 1 << 20
# No file of an environment is as large as this, and a manifest may not fill the disk.
FILE_BYTES = 32 << 30
UNPACK_SECONDS = 3600
NOTHING_THERE = 3
# A cache that does not answer must not cost more time than it saves.
QUICK = Patience(attempts=2, first_pause=2)
# `head` ends what unpacks to more than it may: tar then misses the end of its archive.
UNPACK = (
    'set -o pipefail; gzip -dc -- "$1" | head -c "$2" |'
    ' tar --extract --file=- --directory="$3" --no-same-owner --no-same-permissions'
)


def unpack_apart(bucket: Bucket, key: str, folder: Path, user: Optional[User]) -> bool:
    """`unpack_folder` of the entry's newest version, in a process of its own, as `user`. Raises `StepError`."""
    module = "userdata.boot.fetch.unpacking"
    code = run_apart(module, bucket.name, key, str(folder), seconds=UNPACK_SECONDS, user=user)
    if code not in (0, NOTHING_THERE):
        raise StepError(f"unpacking {key} ended with {code}")
    return code == 0


def unpack_folder(bucket: Bucket, prefix: str, folder: Path) -> bool:
    """Makes `folder` from the objects below `prefix`; False when there are none.

    Every part is verified before it is unpacked, and the whole is renamed into place, so that `folder` is there whole
    or not at all. Raises `StepError`, or `ValueError` for a manifest that is none.
    """
    staging = emptied(folder.with_name(f".{folder.name}.parts"))
    whole = emptied(folder.with_name(f".{folder.name}.unpacking"))
    try:
        if not bucket.get_file(prefix + MANIFEST, staging / MANIFEST):
            return False
        with (staging / MANIFEST).open("rb") as file:
            parts, needed = read_manifest(file.read(MANIFEST_BYTES).decode("utf-8"))
        check_space(folder, needed + MARGIN_BYTES)
        most = needed + MARGIN_BYTES
        merging = threading.Lock()
        unpacked = 0

        def take(part: Part) -> None:
            nonlocal unpacked
            made = _unpack(bucket, prefix, part, staging, most)
            size = check_tree(made, linked_inside=True)
            with merging:
                unpacked += size
                if unpacked > most:
                    raise StepError(f"{prefix} has more than the {needed} bytes that its manifest says")
                merge_tree(made, whole)

        side_by_side(take, parts)
        check_tree(whole)  # where a link of one part leads by a link of another
        # Whoever draws is another user. An older machine's entry may have folders that CUDA had closed.
        answer_of(["chmod", "--recursive", "u+rwX,go+rX", str(whole)], seconds=TAR_SECONDS)
        if folder.exists():
            shutil.rmtree(folder)
        whole.rename(folder)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
        shutil.rmtree(whole, ignore_errors=True)
    return True


def _unpack(bucket: Bucket, prefix: str, part: Part, staging: Path, most: int) -> Path:
    """A folder with what the part has, which may be `most` bytes."""
    file = staging / part.name
    if not bucket.get_file(prefix + part.name, file):
        raise StepError(f"{prefix}{part.name} is missing")
    if sha256_of(file) != part.sha256:
        raise StepError(f"{prefix}{part.name} is damaged")
    folder = staging / part.sha256
    folder.mkdir()
    # GNU tar takes a leading / away, and refuses members with .. in their names.
    answer_of(["bash", "-c", UNPACK, "unpack", str(file), str(most), str(folder)], seconds=TAR_SECONDS)
    file.unlink()
    return folder


def main() -> int:
    """The exit status."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (FILE_BYTES, FILE_BYTES))
    name, key, folder = sys.argv[1:]
    bucket = Bucket(name, patience=QUICK)
    manifest = Versions(bucket).newest(key)
    unpacked = manifest and unpack_folder(bucket, manifest[: -len(MANIFEST)], Path(folder))
    return 0 if unpacked else NOTHING_THERE


if __name__ == "__main__":
    sys.exit(main_apart(main))
