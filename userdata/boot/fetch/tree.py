"""What lies in a folder that came from elsewhere: only files, folders, and links that stay inside."""

from __future__ import annotations

import os
import stat
from collections import Counter
from pathlib import Path
from typing import Counter as CounterType
from typing import Tuple

from userdata.boot.machine.step_error import StepError


def check_tree(folder: Path, *, linked_inside: bool = False) -> int:
    """How many bytes the files below `folder` have.

    Raises `StepError` when something leads out of it, or is no file, folder or link. `linked_inside` asks that all
    names of each file lie in `folder`, since another one would be outside.
    """
    if folder.is_symlink():
        raise StepError(f"{folder} is a link, and not a folder")
    root = os.path.realpath(folder)
    names: CounterType[Tuple[int, int]] = Counter()  # how many of a file's names were met
    total = 0
    for place, folders, files in os.walk(folder, onerror=_raise):
        for name in folders + files:
            path = Path(place, name)
            found = path.lstat()
            if stat.S_ISLNK(found.st_mode):
                _check_link(path, root)
            elif stat.S_ISREG(found.st_mode):
                total += found.st_size
                if found.st_nlink > 1:
                    names[(found.st_ino, found.st_nlink)] += 1
            elif not stat.S_ISDIR(found.st_mode):
                raise StepError(f"{path} is no file, no folder and no link")
    if linked_inside and any(met != expected for (_, expected), met in names.items()):
        raise StepError(f"a file below {folder} has another name outside")
    return total


def merge_tree(part: Path, whole: Path) -> None:
    """Moves what lies in `part` into `whole`. Raises `StepError` for what is there already, folders excepted.

    A link in `whole` is never gone through, since it is not taken for a folder.
    """
    for entry in list(os.scandir(part)):
        target = whole / entry.name
        if not os.path.lexists(target):
            Path(entry.path).rename(target)
        elif entry.is_dir(follow_symlinks=False) and target.is_dir() and not target.is_symlink():
            merge_tree(Path(entry.path), target)
        else:
            raise StepError(f"{target} comes twice")


def _check_link(path: Path, root: str) -> None:
    leads_to = os.path.realpath(path)
    if path.readlink().is_absolute() or not (leads_to + os.sep).startswith(root + os.sep):
        raise StepError(f"{path} leads out of {root}, to {leads_to}")


def _raise(error: OSError) -> None:
    raise error
