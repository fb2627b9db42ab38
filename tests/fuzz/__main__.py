"""Changes the kept files of targets, and prints what came of it: `scripts/fuzz TARGET...`, or `scripts/fuzz all`."""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import json
import subprocess
import sys
import time
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
    guided = not asked.by_chance and importlib.util.find_spec("atheris") is not None
    found = {}
    for name in names:
        if guided:
            found[name] = _guided(name, asked.seconds)
        else:
            found[name] = run(name, endless(name, asked.seed), seconds=asked.seconds)
        for fault, content in found[name].faults.items():
            print(f"{name}: {fault}; kept as {_keep(name, content)}", flush=True)  # noqa: T201
    print(table(found))  # noqa: T201
    return int(any(one.others for one in found.values()))


def _guided(name: str, seconds: float) -> Counts:
    """Runs a target under atheris in a process of its own, since atheris ends the process."""
    command = [sys.executable, "-m", "tests.fuzz.guided", name, str(seconds), str(GROWN / name)]
    began = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, errors="replace")
    try:
        told = json.loads(done.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        what = f"the process ended with {done.returncode} after {time.monotonic() - began:.0f} s: {done.stderr[-500:]}"
        return Counts(others=1, faults={what: b""})
    return Counts(**{**told, "faults": {fault: bytes.fromhex(one) for fault, one in told["faults"].items()}})


def _keep(name: str, content: bytes) -> Path:
    file = FOUND / name / hashlib.sha256(content).hexdigest()[:16]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    return file


if __name__ == "__main__":
    sys.exit(main())
