"""Writes what this machine had to fetch and build to the cache: the main process of sd-cache.service.

It has the worker's user, not root: a link that somebody has put somewhere leads it only to what the worker may read.
So it cannot write the boot's notes, and keeps a note of its own, which nobody else reads.
"""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path
from typing import Dict, Optional

from userdata.boot.fetch.bucket import Bucket
from userdata.boot.fetch.cache import Entry, State, read_notes, save
from userdata.boot.fetch.packed_folder import folder_fingerprint
from userdata.boot.machine.step_error import StepError
from userdata.boot.telling.boot_log import start_log
from userdata.contract.atomic_file import write_atomically
from userdata.contract.layout import Folders
from userdata.contract.outside import read_json
from userdata.contract.worker_environment import WorkerEnvironment

logger = logging.getLogger(__name__)


def save_cache(folders: Folders, bucket: Bucket) -> None:
    """Writes every entry that the bucket may lack. What cannot be written is tried again after the next run."""
    kept = _read_kept(folders.cache_kept)
    for entry in (*read_notes(folders.cache_notes), *read_notes(folders.fetched_notes)):
        try:
            now = _content(entry)
            if now is None or now == _known(entry, kept):
                continue
            save(bucket, entry, folders.cache_packing)
        except (StepError, OSError, ValueError) as error:
            logger.warning("%s was not kept for the next machine: %s", entry.key, error)
            continue
        kept[entry.key] = now
        write_atomically(folders.cache_kept, json.dumps(kept, indent=2).encode())


def _content(entry: Entry) -> Optional[str]:
    """What tells the content of the entry from another one; None where there is nothing to keep."""
    path = Path(entry.path)
    if not path.exists() or (path.is_dir() and not any(path.iterdir())):
        return None
    return "whole" if entry.fingerprint is None else folder_fingerprint(path)


def _known(entry: Entry, kept: Dict[str, str]) -> Optional[str]:
    """What the bucket has, as far as this machine knows."""
    if entry.key in kept:
        return kept[entry.key]
    if entry.fingerprint is not None:
        return entry.fingerprint
    return "whole" if entry.state is State.KEPT else None


def _read_kept(file: Path) -> Dict[str, str]:
    try:
        return {str(key): str(content) for key, content in read_json(file.read_bytes()).items()}
    except (OSError, ValueError):
        return {}


if __name__ == "__main__":
    start_log()
    save_cache(Folders(), Bucket(WorkerEnvironment.read(os.environ).bucket))
