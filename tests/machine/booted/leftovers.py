"""Ends what a killed run has left on the host: machines, their networks and their disks."""

from __future__ import annotations

import os
import re
from pathlib import Path

from tests.machine.booted.cgroup import parents_of_groups, remove_group
from tests.machine.booted.disk import delete_disk
from tests.machine.booted.network import NAMESPACES, remove_network

PREFIX = "sd-on-ec2-"
_OWNED = re.compile(re.escape(PREFIX) + r"(\d+)-.+")


def machine_name(instance_id: str) -> str:
    """A name for what a machine needs on the host; it tells which process it belongs to."""
    return f"{PREFIX}{os.getpid()}-{instance_id}"


def remove_leftovers() -> None:
    """Removes everything that belongs to a process that has ended."""
    for parent in parents_of_groups():
        for folder in parent.glob(f"{PREFIX}*"):
            if _abandoned(folder.name):
                remove_group(folder)
    if NAMESPACES.is_dir():
        for network in NAMESPACES.glob(f"{PREFIX}*"):
            if _abandoned(network.name):
                remove_network(network.name)
    for folder in _disks():
        if _abandoned(folder.name):
            delete_disk(folder)


def _abandoned(name: str) -> bool:
    match = _OWNED.fullmatch(name)
    return match is not None and not Path(f"/proc/{match[1]}").exists()


def _disks() -> list[Path]:
    mounts = Path("/proc/self/mountinfo").read_text("utf-8").splitlines()
    points = [Path(line.split()[4]) for line in mounts if " sd-on-ec2-disk " in line]
    return [point.parent for point in points]
