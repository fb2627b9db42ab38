"""A control group for one machine, because its systemd must neither see nor end another machine's processes."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import time
from collections.abc import Sequence
from pathlib import Path

MOUNTS = Path("/proc/self/mountinfo")
MEMBERSHIP = Path("/proc/self/cgroup")
ENDING = 10.0  # seconds for killed processes to be gone


class ControlGroup:
    """One group, in the hierarchy that systemd uses: the unified one, or `name=systemd` beside it, or both."""

    def __init__(self, name: str) -> None:
        self.folders = [parent / name for parent in parents_of_groups()]
        for folder in self.folders:
            folder.mkdir(exist_ok=True)

    def entered(self, command: Sequence[str]) -> list[str]:
        """`command`, to be run inside the group. By a shell: code between fork and exec is not safe beside threads."""
        enter = "".join(f"echo $$ >{shlex.quote(str(folder / 'cgroup.procs'))} && " for folder in self.folders)
        return ["sh", "-c", f'{enter}exec "$@"', "sh", *command]

    def limit_memory(self, megabytes: int) -> None:
        """Limits the group's memory. Raises `OSError` where the host cannot."""
        unified = next((folder / "memory.max" for folder in self.folders if (folder / "memory.max").exists()), None)
        if unified is None:
            self.folders.append(_parent_of_memory_groups() / self.folders[0].name)
            self.folders[-1].mkdir(exist_ok=True)
            unified = self.folders[-1] / "memory.limit_in_bytes"
        unified.write_text(str(megabytes * 2**20), "ascii")

    def processes(self) -> list[int]:
        """The ids of the group's processes on the host."""
        return _processes_below(self.folders[0])

    def remove(self) -> None:
        """Kills what is left in the group and removes it."""
        for folder in self.folders:
            remove_group(folder)


def parents_of_groups() -> list[Path]:
    """The folders below which this process makes groups."""
    return _parents({"", "name=systemd"})


def _parent_of_memory_groups() -> Path:
    """Where the memory controller is one of the first version."""
    parents = _parents({"memory"})
    if not parents:
        raise OSError("the memory of a group cannot be bounded on this host")
    return parents[0]


def _parents(wanted: set[str]) -> list[Path]:
    roots = {}
    for line in MOUNTS.read_text("utf-8").splitlines():
        fields, _, kind = line.partition(" - ")
        options = kind.split()[2].split(",") if len(kind.split()) > 2 else []
        if kind.startswith("cgroup2 "):
            roots[""] = Path(fields.split()[4])
        elif kind.startswith("cgroup "):
            roots.update({name: Path(fields.split()[4]) for name in wanted & set(options)})
    found = []
    for line in MEMBERSHIP.read_text("utf-8").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers in wanted & roots.keys():
            found.append(roots[controllers] / path.lstrip("/"))
    return found


def remove_group(folder: Path) -> None:
    """Kills every process below `folder` and removes the groups, the deepest first."""
    if not folder.exists():
        return
    deadline = time.monotonic() + ENDING
    while time.monotonic() < deadline and _kill_all(folder):
        time.sleep(0.02)
    for group in reversed(_groups_from(folder)):
        with contextlib.suppress(OSError):
            group.rmdir()


def _kill_all(folder: Path) -> bool:
    """Kills every process below `folder`. Returns False when there was none."""
    found = _processes_below(folder)
    for pid in found:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return bool(found)


def _processes_below(folder: Path) -> list[int]:
    found: list[int] = []
    for group in _groups_from(folder):
        with contextlib.suppress(OSError):  # a group that has just gone
            found.extend(map(int, (group / "cgroup.procs").read_text("ascii").split()))
    return found


def _groups_from(folder: Path) -> list[Path]:
    """The group and those below it, each before its own; passes over what goes meanwhile, as `Path.rglob` does not."""
    return [Path(group) for group, _, _ in os.walk(folder)]
