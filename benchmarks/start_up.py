"""How long each command of `sd` takes to answer: to its `--help`, and to its first question to AWS.

The first loads what a mistyped option or TAB loads. AWS is a port of this machine that never answers; its address and
invented keys are in the environment. Seconds of the clock and, behind a slash, of the processor, which a busy machine
changes less.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import select
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from scripts.command_line.main import COMMANDS
from scripts.command_line.terminal.plain_text import say
from scripts.interruption.signals import ends_in_a_sentence

LIBRARIES = ("typer", "rich", "pydantic", "boto3")
# What brings a command to its first question to AWS; the others ask nothing, or wait for a person first.
WORDS: dict[str, list[str]] = {
    "generate": ["a horse"], "deploy": ["a horse"], "batch": ["FILE"], "status": [], "watch": [], "results": [],
    "gallery": [], "logs": [], "connect": [], "report": [], "pause": ["x"], "resume": ["x"], "cancel": ["x"],
    "retry": ["x"], "start": [], "stop": [], "hold": [], "teardown": [], "doctor": [], "cost": [],
    "zones": ["g6.xlarge"], "compare": ["x", "y"], "quota": ["status"],
}  # fmt: skip


def main() -> None:
    """Prints the table, and writes the figures where `--json` says."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.start_up", description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", type=Path, help="file to write the figures to")
    options = parser.parse_args()
    say(f"{platform.machine()}, {platform.system()}, Python {platform.python_version()}, {_versions()}")
    say(f"{'least, median, most':<10} {'--help':>34} {'to the first question to AWS':>34}")
    figures = {}
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file, socket.create_server(("127.0.0.1", 0)) as aws:
        file.write("a horse\n")
        file.flush()
        for name in (place.partition(":")[2] for places in COMMANDS.values() for place in places):
            helps = _times([name, "--help"], options.repeats)
            words = [file.name if word == "FILE" else word for word in WORDS.get(name, [])]
            asks = _times([name, *words], options.repeats, aws) if name in WORDS else []
            figures[name] = {"help": helps, "aws": asks}
            say(f"{name:<19} {_spread(helps):>34} {_spread(asks):>34}")
    if options.json:
        options.json.write_text(json.dumps({"versions": _versions(), "seconds": figures}, indent=2) + "\n")


def _times(words: Sequence[str], repeats: int, aws: socket.socket | None = None) -> list[tuple[float, float]]:
    """Clock and processor of each repeat, after one that is not counted because it writes byte code."""
    found = []
    for _ in range(repeats + 1):
        began, used = time.perf_counter(), _processor()
        command = [sys.executable, "-m", "scripts.command_line", *words]
        with subprocess.Popen(command, env=_account(aws), stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
            seconds = _until_asked(process, aws, began) if aws else None
            process.communicate()
        found.append((seconds or time.perf_counter() - began, _processor() - used))
    return found[1:]


def _until_asked(process: subprocess.Popen[bytes], aws: socket.socket, began: float) -> float:
    """Seconds from `began` until the first connection; ends the process. Raises `SystemExit` if none comes."""
    came, _, _ = select.select([aws], [], [], 60)
    seconds = time.perf_counter() - began
    process.kill()
    if not came:
        raise SystemExit(f"{' '.join(map(str, process.args))} has asked nothing of AWS.")  # type: ignore[arg-type]
    aws.setblocking(False)
    try:
        while True:
            aws.accept()[0].close()
    except BlockingIOError:
        return seconds


def _account(aws: socket.socket | None) -> dict[str, str]:
    """The environment, with invented keys and the address of `aws`, and nothing of the person's own account."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    port = aws.getsockname()[1] if aws else 1
    return {
        **own,
        "AWS_ACCESS_KEY_ID": "invented",
        "AWS_SECRET_ACCESS_KEY": "invented",
        "AWS_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }


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
