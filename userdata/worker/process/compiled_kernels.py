"""The folder of compiled kernels that the worker keeps from run to run."""

from __future__ import annotations

import json
import shutil
from contextlib import suppress
from pathlib import Path


def begin_with(before: Path | None, folder: Path) -> None:
    """Copies `before`, the kernels that an earlier machine has compiled, to `folder`, unless `folder` exists."""
    if before is None or folder.exists():
        return
    new = folder.with_name(folder.name + ".new")
    shutil.rmtree(new, ignore_errors=True)
    shutil.copytree(before, new)
    for group in new.rglob("__grp__*"):
        # A file in another form is of another Triton, which compiles anew what it does not find.
        with suppress(ValueError, KeyError, TypeError, AttributeError):
            _move_group(group, folder / group.parent.relative_to(new))
    new.rename(folder)


def _move_group(group: Path, folder: Path) -> None:
    """Lets a file of Triton's that lists a kernel's other files, by absolute paths, name those beside it in `folder`.

    Form: `FileCacheManager.put_group` of triton 3, in triton/runtime/cache.py.
    """
    names = json.loads(group.read_text("utf-8"))["child_paths"].keys()
    group.write_text(json.dumps({"child_paths": {name: str(folder / name) for name in names}}), "utf-8")
