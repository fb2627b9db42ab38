"""The names of runs that this computer knows, for completion by TAB, which must not wait for AWS."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from userdata.contract.atomic_file import write_atomically

MOST = 200
# A shell puts what it is offered into the line that the person runs next, and anybody may write into the bucket.
HARMLESS = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
DOWNLOADS = Path("results")


def remember(run_ids: Iterable[str]) -> None:
    """Keeps the names of the last listing, the latest last, in the place of those of the listing before."""
    with suppress(OSError):
        write_atomically(_file(), "".join(f"{one}\n" for one in [*run_ids][-MOST:]).encode())


def complete_runs(incomplete: str) -> list[str]:
    """The runs of the last listing and those that were downloaded into `results/` that begin so, the latest first."""
    known: list[str] = []
    with suppress(OSError, ValueError):
        known += reversed(_file().read_text("utf-8").split())
    with suppress(OSError):
        known += sorted(path.name for path in DOWNLOADS.iterdir() if path.is_dir())
    return [one for one in dict.fromkeys(known) if one.startswith(incomplete) and HARMLESS.fullmatch(one)]


def _file() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")) / "sd-on-ec2" / "runs"  # noqa: PTH111
