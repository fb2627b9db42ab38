"""`cache/` in the results bucket, which makes the first boot of the next machine short.

A file on the machine's disk notes which entries came from the cache, and what the machine has that could be kept there.
Once the run has succeeded, `userdata.boot.save_cache` writes what is missing. Nothing here may end a boot: an error in
an entry is logged, the source is asked instead, and the entry gets another version.

The bucket lets nobody overwrite what lies in `cache/`. So whatever comes in the place of an entry that is damaged or
has grown is written below a name of its own, and the version that S3 has received last counts: by S3's clock, because
whoever writes chooses the name.

Whoever may write an entry may write its manifest too, so that the hashes in it show damage and no malice. For that
reason a folder is unpacked, and what is in it run, by a user without rights (`userdata.boot.machine.fetcher`).
"""

from __future__ import annotations

import json
import logging
import secrets
import threading
import time
from dataclasses import asdict, dataclass, field
from enum import Enum
from pathlib import Path
from typing import Callable, Dict, List, Mapping, Optional

from userdata.boot.fetch.bucket import Bucket
from userdata.boot.fetch.packed_folder import MANIFEST, emptied, pack_folder
from userdata.boot.fetch.unpacking import QUICK, unpack_apart
from userdata.boot.fetch.versions import Versions
from userdata.boot.machine.commands import User
from userdata.boot.machine.file_hash import sha256_of
from userdata.boot.machine.step_error import StepError
from userdata.contract.atomic_file import put_in_place, write_atomically

logger = logging.getLogger(__name__)
OFF = "off"


class State(str, Enum):
    """What this machine knows about an entry."""

    KEPT = "kept"
    UNKEPT = "unkept"
    BROKEN = "broken"


@dataclass
class Entry:
    """Something on this machine that has a place in the cache.

    `key` is an object's, or a folder's prefix, which ends with a slash: those of its first version. `built_from` says
    what it follows from, for a person who reads the manifest. `fingerprint` is set for a folder of the worker's, which
    grows as the machine works: what it was like when the bucket's was the same.
    """

    key: str
    path: str
    state: State = State.UNKEPT
    built_from: Dict[str, str] = field(default_factory=dict)
    fingerprint: Optional[str] = None

    @property
    def wanted(self) -> bool:
        """Whether the bucket may lack this entry. Root asks this, so it does not look into a folder of the worker's."""
        return self.fingerprint is not None or self.state is not State.KEPT


class Cache:
    """The cache of one bucket. `notes` is the file that says which of its entries are on this machine. Thread-safe."""

    def __init__(self, bucket: Bucket, notes: Path) -> None:
        self._bucket = Bucket(bucket.name, patience=QUICK)
        self._notes = notes
        self._before = {entry.key: entry for entry in read_notes(notes)}
        self._now: Dict[str, Entry] = {}
        self._lock = threading.Lock()
        self._versions = Versions(self._bucket)
        self._thread = threading.local()  # its `served` belongs to the step on that thread

    def take_folder(self, key: str, folder: Path, user: Optional[User]) -> bool:
        """Makes `folder` from the entry `key`, as `user`; False when the source has to be asked instead."""
        return self._take(key, folder, lambda: unpack_apart(self._bucket, key, folder, user))

    def take_file(self, key: str, file: Path, *, sha256: str) -> bool:
        """Makes `file` from the object `key`, which must have this hash; False as `take_folder` does."""
        return self._take(key, file, lambda: self._fetch(key, file, sha256))

    def reject(self, key: str, why: str) -> None:
        """Notes that the entry `key` came from the cache and is of no use, so that it gets another version."""
        logger.warning("the cache's %s is of no use: %s", key, why)
        self._thread.served = False
        self._note(Entry(key, self._now[key].path, State.BROKEN))

    def has(self, key: str, path: Path, *, built_from: Mapping[str, str], fingerprint: Optional[str] = None) -> None:
        """Notes that this machine has the content of `key`, from the cache or not; see `Entry`."""
        entry = self._now.get(key) or self._before.get(key) or Entry(key, str(path))
        entry.path = str(path)
        entry.built_from = dict(built_from)
        entry.fingerprint = entry.fingerprint or fingerprint
        self._note(entry)

    def served(self) -> None:
        """Notes that another process of this boot has taken something from the cache, for this thread's step."""
        self._thread.served = True

    def mark_unkept(self, mark: Path) -> None:
        """Lets the file `mark` be there if the bucket may lack something of what was noted, and not otherwise."""
        if any(entry.wanted for entry in self._now.values()):
            mark.touch()
        else:
            mark.unlink(missing_ok=True)

    def has_served(self) -> bool:
        """Whether something was taken from the cache on this thread since its last call."""
        served, self._thread.served = getattr(self._thread, "served", False), False
        return bool(served)

    def _take(self, key: str, path: Path, action: Callable[[], bool]) -> bool:
        began = time.monotonic()
        try:
            taken = action()
        except (StepError, OSError, ValueError) as error:
            logger.warning("the cache's %s is of no use: %s", key, error)
            self._note(Entry(key, str(path), State.BROKEN))
            return False
        self._note(Entry(key, str(path), State.KEPT if taken else State.UNKEPT))
        if taken:
            self._thread.served = True
            logger.info("%s came from the cache in %.1f s", path, time.monotonic() - began)
        return taken

    def _fetch(self, key: str, file: Path, sha256: str) -> bool:
        newest = self._versions.newest(key)
        if newest is None:
            return False
        part = file.with_name(f".{file.name}.cached")
        file.parent.mkdir(parents=True, exist_ok=True)
        try:
            if not self._bucket.get_file(newest, part):
                return False
            found = sha256_of(part)
            if found != sha256:
                raise StepError(f"its SHA-256 is {found}")
            put_in_place(part, file)
            return True
        finally:
            part.unlink(missing_ok=True)

    def _note(self, entry: Entry) -> None:
        with self._lock:
            self._now[entry.key] = entry
            write_notes(self._notes, list(self._now.values()))


def save(bucket: Bucket, entry: Entry, staging: Path) -> None:
    """Writes one entry to the bucket, unless the bucket has a whole one. `staging` is emptied. Raises `StepError`.

    Another machine may have written the entry in the meantime, with the same content.
    """
    path = Path(entry.path)
    began = time.monotonic()
    is_first = entry.state is State.UNKEPT and entry.fingerprint is None
    if is_first and bucket.size(entry.key + MANIFEST if path.is_dir() else entry.key) is not None:
        return
    key = entry.key if is_first else another_version(entry.key)
    if path.is_dir():
        size = pack_folder(bucket, key, path, staging=staging, built_from=entry.built_from)
    else:
        size = path.stat().st_size
        bucket.put_once(path, key, staging=emptied(staging))
    logger.info("%s: %.2f GB kept for the next machine in %.0f s", key, size / 1e9, time.monotonic() - began)


def another_version(key: str) -> str:
    """A key that nobody has written to yet, for an entry whose first version has `key`."""
    folder, _, name = key.rpartition("/")
    return f"{folder}/{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{secrets.token_hex(4)}/{name}"


def read_notes(notes: Path) -> List[Entry]:
    """What an earlier boot has noted; nothing when there are no readable notes."""
    try:
        return [Entry(**{**entry, "state": State(entry["state"])}) for entry in json.loads(notes.read_text("utf-8"))]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return []


def write_notes(notes: Path, entries: List[Entry]) -> None:
    """Replaces the notes, in one step."""
    write_atomically(notes, (json.dumps([asdict(entry) for entry in entries], indent=2) + "\n").encode())
