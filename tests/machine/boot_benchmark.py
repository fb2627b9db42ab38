"""`python -m tests.machine.boot_benchmark`: boots machines, and prints the seconds of each phase.

Cold is a first boot: bundle, weights and worker are not there yet. Warm is a second one with another prompt: all of it
is on the disk. That machine shares the host's Python, so nothing is downloaded and all time is our own, but for what is
named as the image's: systemd and cloud-init until the user data begins.

With `--throttled` it is a first boot that fetches and builds everything instead, from a server behind a line of a
stated speed (throttled_boot.py), and before it one with the bundle of each commit that `--before` names.

Needs Linux and root, like the machine tests.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import platform
import re
import sys
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from scripts.command_line.results.timeline import Timeline, read_timelines, show_timelines
from tests.machine.booted.ability import reason_against
from tests.machine.booted.leftovers import remove_leftovers
from tests.machine.booted.root_file_system import root_file_system
from tests.machine.site.bundles import USERDATA
from tests.machine.site.instance import Instance
from tests.machine.site.site import QUICK, Site
from tests.machine.throttled_boot import ThrottledBoots, userdata_of

CONSOLE = Console(width=120)
PACKAGES = ("torch", "diffusers", "transformers", "boto3")


@dataclass(frozen=True)
class Boot:
    """One boot: when the power came on (UTC), and what the bucket tells."""

    powered_on: datetime
    timeline: Timeline

    @property
    def image_seconds(self) -> float:
        """What the image itself takes: from power on until our boot begins; the user data's own part is in it."""
        return (self.timeline.started_at - self.powered_on).total_seconds()

    def begins(self, phase: str) -> float:
        """Seconds from the beginning of our boot until a phase begins."""
        return next(offset for name, offset, _, _ in self.timeline.rows() if name == phase)


def main() -> int:
    """The exit code; 1 with one sentence where machines cannot boot."""
    parser = argparse.ArgumentParser(prog="scripts/bench-boot")
    parser.add_argument("--throttled", action="store_true", help="first boots that fetch everything over a slow line")
    parser.add_argument("--before", metavar="COMMIT", action="append", default=[], help="and with this commit's bundle")
    asked = parser.parse_args()
    reason = reason_against()
    if reason:
        CONSOLE.print(f"boot: {reason}")
        return 1
    remove_leftovers()
    _describe_host()
    with tempfile.TemporaryDirectory() as folder, Site(root_file_system()).open(Path(folder)) as site:
        if asked.throttled:
            _boot_throttled(site, Path(folder), asked.before)
        else:
            _boot_cold_and_warm(site)
    return 0


def _boot_throttled(site: Site, folder: Path, commits: list[str]) -> None:
    boots = ThrottledBoots(site)
    for line in boots.describe():
        CONSOLE.print(line)
    bundles = [*((commit, userdata_of(commit, folder / commit)) for commit in commits), ("this checkout", USERDATA)]
    for name, userdata in bundles:
        timeline = boots.boot(userdata)
        CONSOLE.print(f"\n[bold]first boot with the bundle of {name}[/bold]")
        show_timelines([timeline], CONSOLE)
        CONSOLE.print(f"load average while this ran: {os.getloadavg()[0]:.1f}")


def _boot_cold_and_warm(site: Site) -> None:
    CONSOLE.print(f"the job: {QUICK}")
    powered_on = datetime.now(UTC)
    with site.launched(QUICK) as instance:
        cold = _boot(instance, powered_on)
        instance.update(Prompt="A tree in forest")
        powered_on = datetime.now(UTC)
        instance.start()
        warm = _boot(instance, powered_on)
    for name, boot in (("cold", cold), ("warm", warm)):
        CONSOLE.print(f"\n[bold]{name}[/bold]")
        show_timelines([boot.timeline], CONSOLE)
        CONSOLE.print(f"before it: systemd, cloud-init and the user data {boot.image_seconds:.1f} s")
        CONSOLE.print(f"our boot until the worker is ready to load its model {boot.begins('model'):.1f} s")
        CONSOLE.print(f"our boot until the first image is begun {boot.begins('generating'):.1f} s")
    CONSOLE.print(
        f"\nload average while this ran: {os.getloadavg()[0]:.1f}; the targets are 15 s for cold and its worker,"
    )
    CONSOLE.print("8 s for warm and its first image, on a machine with nothing else to do")


def _boot(instance: Instance, powered_on: datetime) -> Boot:
    instance.wait_for_state("stopped")
    if instance.phase != "done":
        raise SystemExit(instance.story())
    timelines = read_timelines(instance.s3, instance.bucket, instance_id=instance.id, run_id=instance.run_id)
    return Boot(powered_on, timelines[-1])


def _describe_host() -> None:
    with Path("/proc/cpuinfo").open(encoding="utf-8") as file:
        models = re.findall(r"model name\s*: (.*)", file.read())
    memory = int(re.findall(r"MemTotal:\s*(\d+)", Path("/proc/meminfo").read_text("utf-8"))[0]) / 2**20
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in PACKAGES)
    processor = f"{len(models)} x {models[0] if models else platform.machine()}"
    CONSOLE.print(f"{processor}, {memory:.0f} GiB, Linux {platform.release()}")
    CONSOLE.print(f"Python {platform.python_version()}, {versions}")


if __name__ == "__main__":
    sys.exit(main())
