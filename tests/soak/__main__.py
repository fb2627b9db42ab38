"""Soaks the local cloud, and prints what became of the images: scripts/soak --help."""

from __future__ import annotations

import argparse
import os
import platform
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

from scripts.interruption.signals import raise_interrupted
from scripts.local.local_cloud import LocalCloud
from tests.soak.faults import FAULTS
from tests.soak.soak import Outcome, Soak
from tests.soak.stage import Stage
from tests.soak.table import table
from tests.whole_way.conftest import Person


def main() -> int:
    """0 when no image was lost or doubled and no machine was left running, else 1."""
    options = _parser().parse_args()
    raise_interrupted()
    seed = random.SystemRandom().randrange(10**6) if options.seed is None else options.seed
    chance, done = random.Random(seed), []
    sys.stdout.write(f"{_machine()}; seed {seed}\n")
    with LocalCloud() as cloud, tempfile.TemporaryDirectory() as folder:
        cloud.bootstrap()
        stage = Stage.deployed(Person(cloud, Path(folder)))
        soak = Soak(stage, chance)
        try:
            for fault in _faults(options, chance):
                for outcome in soak.do(fault):
                    done.append(outcome)
                    _tell(len(done), outcome)
        finally:
            sys.stdout.write(table(done))
    return int(any(outcome.is_bad for outcome in done))


def _faults(options: argparse.Namespace, chance: random.Random) -> Iterator[str]:
    """Each fault once, in an order of the seed's, and again, until there were enough or the time is over."""
    names = options.fault or list(FAULTS)
    deadline = time.monotonic() + 60 * options.minutes if options.minutes else None
    number = 0
    while deadline is not None or number < options.runs:
        chance.shuffle(names)
        for name in names:
            if number >= options.runs if deadline is None else time.monotonic() > deadline:
                return
            number += 1
            yield name


def _tell(number: int, outcome: Outcome) -> None:
    bad = "; ".join([*outcome.lost, *outcome.doubled, *outcome.left])
    sys.stderr.write(
        f"{number:4} {outcome.fault:15} {outcome.kind:5} {outcome.moment:7} {'met' if outcome.met else '-':3} "
        f"{outcome.images} images, {outcome.starts} starts, {outcome.seconds:.1f} s, {outcome.told}"
        f"{'; BAD: ' + bad if bad else ''}\n"
    )


def _machine() -> str:
    return (
        f"{platform.system()} {platform.machine()}, {os.cpu_count()} processors, Python {platform.python_version()}, "
        f"torch {version('torch')}, moto {version('moto')}"
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/soak",
        description="Draws runs and batches in the local cloud, lets each meet a fault, and counts images that are "
        "lost or doubled, and machines that are left running.",
    )
    parser.add_argument("--runs", type=int, default=len(FAULTS), help="how many (default: each fault once)")
    parser.add_argument("--minutes", type=float, help="go on for so long, in place of --runs")
    parser.add_argument("--seed", type=int, help="what chooses faults and moments; default: another one each time")
    parser.add_argument(
        "--fault", action="append", choices=FAULTS, metavar="NAME", help=f"only this one: {', '.join(FAULTS)}"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
