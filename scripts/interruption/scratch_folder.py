"""A folder for a while. What a killed process has left of one, the next call removes."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from scripts.interruption.signals import held

# Locked for as long as its process lives; the system unlocks it, however the process ends.
LOCK = ".in-use"
REMOVAL_SECONDS = 5.0
UNLOCKED_SECONDS = 60.0


@contextlib.contextmanager
def scratch_folder(prefix: str, parent: Path | None = None) -> Iterator[Path]:
    """A new folder of that prefix in `parent`, by default the system's for temporary files, and away at the end.

    Folders of the same prefix whose process is gone are removed first. Rejected: the process's number in the name,
    because another container may share the folder and not the numbers.
    """
    parent = parent or Path(tempfile.gettempdir())
    parent.mkdir(parents=True, exist_ok=True)
    for left in parent.glob(f"{prefix}*"):
        _remove_if_left(left)
    with contextlib.ExitStack() as until_then:
        with held():  # between the folder and its lock nobody would know whose it is
            folder = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
            until_then.callback(_remove, folder)
            until_then.enter_context(_locked(folder))
        yield folder


def _remove(folder: Path) -> None:
    """Removes the folder. A thread that is ending may still put a file there, so that it is tried for some seconds."""
    deadline = time.monotonic() + REMOVAL_SECONDS
    shutil.rmtree(folder, ignore_errors=True)
    while folder.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    # Locked before it has its name, so that nobody takes the folder for one that was left.
    unfinished = folder / f"{LOCK}.new"
    with unfinished.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        unfinished.rename(folder / LOCK)
        yield


def _remove_if_left(folder: Path) -> None:
    with contextlib.suppress(OSError):
        if not (folder / LOCK).exists():
            # A process was killed before it had locked the folder; one that is alive takes no second for that.
            if time.time() - folder.stat().st_mtime > UNLOCKED_SECONDS:
                (folder / f"{LOCK}.new").unlink(missing_ok=True)
                folder.rmdir()  # of somebody else's, which is not empty, it removes nothing
            return
        with (folder / LOCK).open("r+") as left:
            fcntl.flock(left, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(left.fileno()).st_uid == os.geteuid():
                shutil.rmtree(folder, ignore_errors=True)
