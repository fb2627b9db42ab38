"""`python -m tests.machine.boot_benchmark`: boots a machine cold and warm, and prints the seconds of each phase.

Cold is a first boot: bundle, weights and worker are not there yet. Warm is a second one with another prompt: all of it
is on the disk. The machine shares the host's Python, so nothing is downloaded and all time is our own, but for what is
named as the image's: systemd and cloud-init until the user data begins.

Needs Linux and root, like the machine tests.
"""

from __future__ import annotations

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
from tests.machine.site.instance import Instance
from tests.machine.site.site import QUICK, Site

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
    reason = reason_against()
    if reason:
        CONSOLE.print(f"boot: {reason}")
        return 1
    remove_leftovers()
    _describe_host()
    with tempfile.TemporaryDirectory() as folder, Site(root_file_system()).open(Path(folder)) as site:
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
    return 0


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
    CONSOLE.print(f"the job: {QUICK}")


if __name__ == "__main__":
    sys.exit(main())
