"""Takes the kernels that an earlier machine of the same kind has compiled from the cache."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import sys
from pathlib import Path
from typing import Optional

from userdata.boot.machine.commands import CommandError, answer_of
from userdata.boot.machine.fetcher import CODE, fetcher
from userdata.boot.steps.machine import Machine
from userdata.contract.layout import CACHE, Folders

logger = logging.getLogger(__name__)
QUERY = ("nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader")
ANSWER_SECONDS = 60


def provide_kernels(machine: Machine, *, environment: str) -> Optional[Path]:
    """The folder with compiled kernels for the worker to begin with, or None; on the first boot of a machine only.

    Kernels are bound to `environment`, which names the interpreter's packages, to the GPU and to its driver. The worker
    copies them to its own folder, which is kept for the next machine when it has grown.
    """
    folders, cache = machine.folders, machine.cache
    if cache is None or not machine.has_gpu:
        return None
    try:
        gpu = answer_of(QUERY, seconds=ANSWER_SECONDS).strip().splitlines()[0]
    except (CommandError, IndexError) as error:
        logger.warning("no kernels are taken from the cache: the GPU's name is not known (%s)", error)
        return None
    origin = {"environment": environment, "gpu": gpu}
    key = f"{CACHE}compile/{hashlib.sha256(json.dumps(origin, sort_keys=True).encode()).hexdigest()}/"
    # Both folders are other users', so root follows no link there, and does not look into them.
    if not os.path.lexists(folders.compiled) and not os.path.lexists(folders.compiled_before):
        cache.take_folder(key, folders.compiled_before, fetcher(folders))
    before = _fingerprint(folders) if os.path.lexists(folders.compiled_before) else ""
    cache.has(key, folders.compiled, built_from=origin, fingerprint=before)
    return folders.compiled_before if before else None


def _fingerprint(folders: Folders) -> str:
    """What tells the kernels that came from the cache from others; empty, and a line in the log, where nothing does."""
    words = [sys.executable, "-m", "userdata.boot.fetch.packed_folder", str(folders.compiled_before)]
    try:
        return answer_of(words, seconds=ANSWER_SECONDS, folder=CODE, user=fetcher(folders)).strip()
    except CommandError as error:
        logger.warning("the cache's kernels are of no use: %s", error)
        return ""
