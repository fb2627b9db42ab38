"""How long each command of `sd` takes to answer: `--help`, and the question whether a profile is there.

The first loads what a mistyped option or TAB loads, the second everything that asks AWS, up to the question. Seconds of
the clock and, behind a slash, of the processor, which a busy machine changes less.
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from scripts.command_line.main import COMMANDS
from scripts.command_line.terminal.plain_text import say
from scripts.interruption.signals import ends_in_a_sentence

LIBRARIES = ("typer", "rich", "pydantic", "boto3")
# What brings a command to the question for its profile; the others refuse before, or ask nobody.
WORDS: dict[str, list[str]] = {
    "generate": ["a horse"], "deploy": ["a horse"], "status": [], "watch": [], "results": [], "logs": [], "connect": [],
    "report": [], "pause": ["x"], "resume": ["x"], "cancel": ["x"], "retry": ["x"], "start": [], "stop": [], "hold": [],
    "teardown": [], "doctor": [], "cost": [], "zones": [], "compare": ["x", "y"],
}  # fmt: skip


def main() -> None:
    """Prints the table, and writes the figures where `--json` says."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.start_up", description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", type=Path, help="file to write the figures to")
    options = parser.parse_args()
    say(f"{platform.machine()}, {platform.system()}, Python {platform.python_version()}, {_versions()}")
    say(f"{'least, median, most':<10} {'--help':>34} {'to its profile':>34}")
    figures = {}
    for name in (place.partition(":")[2] for places in COMMANDS.values() for place in places):
        helps = _times([name, "--help"], options.repeats)
        asks = _times([name, *WORDS[name], "--profile", "nobody-has-this"], options.repeats) if name in WORDS else []
        figures[name] = {"help": helps, "profile": asks}
        say(f"{name:<19} {_spread(helps):>34} {_spread(asks):>34}")
    if options.json:
        options.json.write_text(json.dumps({"versions": _versions(), "seconds": figures}, indent=2) + "\n")


def _times(words: Sequence[str], repeats: int) -> list[tuple[float, float]]:
    """Clock and processor of each repeat, after one that is not counted because it writes byte code."""
    found = []
    for _ in range(repeats + 1):
        began, used = time.perf_counter(), _processor()
        subprocess.run([sys.executable, "-m", "scripts.command_line", *words], capture_output=True, check=False)
        found.append((time.perf_counter() - began, _processor() - used))
    return found[1:]


def _processor() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _spread(seconds: Sequence[tuple[float, float]]) -> str:
    if not seconds:
        return "-"
    ways = (min, statistics.median, max)
    return ", ".join(
        f"{way(wall):.2f}/{way(used):.2f}" for way in ways for wall, used in [tuple(zip(*seconds, strict=True))]
    )


def _versions() -> str:
    return ", ".join(f"{name} {version(name)}" for name in LIBRARIES)


if __name__ == "__main__":
    with ends_in_a_sentence():
        main()
