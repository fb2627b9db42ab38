"""Writes what this machine had to fetch and build to the cache: the main process of sd-cache.service."""

from __future__ import annotations

import logging
import os
from pathlib import Path

from userdata.boot.fetch.bucket import Bucket
from userdata.boot.fetch.cache import State, read_notes, save, write_notes
from userdata.boot.fetch.packed_folder import folder_fingerprint
from userdata.boot.machine.step_error import StepError
from userdata.boot.telling.boot_log import start_log
from userdata.contract.layout import Folders
from userdata.contract.worker_environment import WorkerEnvironment

logger = logging.getLogger(__name__)


def save_cache(folders: Folders, bucket: Bucket) -> None:
    """Writes every entry that the bucket may lack. What cannot be written is tried again after the next run."""
    entries = read_notes(folders.cache_notes)
    for entry in entries:
        if not entry.wanted:
            continue
        try:
            save(bucket, entry)
        except (StepError, OSError, ValueError) as error:
            logger.warning("%s was not kept for the next machine: %s", entry.key, error)
            continue
        entry.state = State.KEPT
        if entry.fingerprint is not None:
            entry.fingerprint = folder_fingerprint(Path(entry.path))
        write_notes(folders.cache_notes, entries)


if __name__ == "__main__":
    start_log()
    save_cache(Folders(), Bucket(WorkerEnvironment.read(os.environ).bucket))
