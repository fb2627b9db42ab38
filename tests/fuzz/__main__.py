"""Changes the kept files of targets, and prints what came of it: `scripts/fuzz TARGET...`, or `scripts/fuzz all`."""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.fuzz.run import SEED, TARGETS, Counts, endless, run, table

FOUND = Path(".cache/fuzz/found")
GROWN = Path(".cache/fuzz/corpus")


def main() -> int:
    """The exit status: 1 when a target has raised what it may not."""
    parser = argparse.ArgumentParser(prog="scripts/fuzz", description=__doc__)
    parser.add_argument("targets", nargs="+", metavar="TARGET", help=f"all, or some of {', '.join(TARGETS)}")
    parser.add_argument("--seconds", type=float, default=10, help="for each target (default 10)")
    parser.add_argument("--by-chance", action="store_true", help="change bytes by chance, without atheris")
    parser.add_argument("--seed", type=int, default=SEED, help="of what is changed by chance")
    asked = parser.parse_args()
    names = list(TARGETS) if asked.targets == ["all"] else asked.targets
    if unknown := [name for name in names if name not in TARGETS]:
        parser.error(f"there is no target {unknown[0]}; there are {', '.join(TARGETS)}")
    by_chance = asked.by_chance or importlib.util.find_spec("atheris") is None
    found = {}
    for name, counts in _by_chance(names, asked.seconds, asked.seed) if by_chance else _guided(names, asked.seconds):
        found[name] = counts
        for fault, content in counts.faults.items():
            print(f"{name}: {fault}; kept as {_keep(name, content)}", flush=True)  # noqa: T201
    print(table(found))  # noqa: T201
    return int(any(one.others for one in found.values()))


def _by_chance(names: Sequence[str], seconds: float, seed: int) -> Iterator[tuple[str, Counts]]:
    for name in names:
        yield name, run(name, endless(name, seed), seconds=seconds)


def _guided(names: Sequence[str], seconds: float) -> Iterator[tuple[str, Counts]]:
    """Runs targets under atheris, which has a process of its own. What else it says goes to a file."""
    GROWN.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "tests.fuzz.guided", str(seconds), str(GROWN), *names]
    with (GROWN / "log").open("w") as log, subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log) as process:
        assert process.stdout
        for line in process.stdout:
            if line.startswith(b"["):
                name, told = json.loads(line)
                faults = {fault: bytes.fromhex(one) for fault, one in told["faults"].items()}
                yield name, Counts(**{**told, "faults": faults})
    if process.returncode:
        raise SystemExit(f"atheris ended with {process.returncode}; {GROWN / 'log'} says why")


def _keep(name: str, content: bytes) -> Path:
    file = FOUND / name / hashlib.sha256(content).hexdigest()[:16]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    return file


if __name__ == "__main__":
    sys.exit(main())
