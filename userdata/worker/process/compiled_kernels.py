"""The folder of compiled kernels that the worker keeps from run to run."""

from __future__ import annotations

import shutil
from pathlib import Path


def begin_with(before: Path | None, folder: Path) -> None:
    """Copies `before`, the kernels that an earlier machine has compiled, to `folder`, unless `folder` exists."""
    if before is None or folder.exists():
        return
    new = folder.with_name(folder.name + ".new")
    shutil.rmtree(new, ignore_errors=True)
    shutil.copytree(before, new)
    new.rename(folder)
