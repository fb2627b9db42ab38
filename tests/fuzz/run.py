"""Runs targets over bytes, counts what comes of them, and prints that as a table."""

from __future__ import annotations

import random
import time
import traceback
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.fuzz import documents, models, pictures, servers, texts
from tests.fuzz.mutations import mutated
from tests.fuzz.target import MOST_SECONDS, Target

TARGETS: dict[str, Target] = {
    **texts.TARGETS,
    **documents.TARGETS,
    **pictures.TARGETS,
    **models.TARGETS,
    **servers.TARGETS,
}
CORPUS = Path(__file__).parent / "corpus"
SEED = 20261129


@dataclass
class Counts:
    """What came of a target's executions. `faults` are its other errors, each with the bytes, by where they arise."""

    executions: int = 0
    accepted: int = 0
    refused: int = 0
    faults: dict[str, bytes] = field(default_factory=dict)
    others: int = 0


def corpus(name: str) -> list[bytes]:
    """The kept files of a target, and nothing at all."""
    return [b"", *(file.read_bytes() for file in sorted((CORPUS / name).glob("*")))]


def endless(name: str, seed: int = SEED) -> Iterator[bytes]:
    """Changed files of a target's corpus."""
    rng, kept = random.Random(f"{seed} {name}"), corpus(name)
    while True:
        yield mutated(rng, rng.choice(kept), kept)


def execute(target: Target, content: bytes, counts: Counts) -> None:
    """Runs `target` once. What may not leave it, and what takes too long, is a fault."""
    counts.executions += 1
    began = time.process_time()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = target.parse(content)
    except target.refuses:
        counts.refused += 1
    except Exception as error:  # noqa: BLE001  # which one is counted
        _note(counts, f"{type(error).__name__} at {_place(error)}: {str(error)[:80]}", content)
    else:
        counts.accepted += found is not None
        counts.refused += found is None
    if time.process_time() - began > MOST_SECONDS:
        _note(counts, f"takes more than {MOST_SECONDS:g} s", content)


def run(name: str, contents: Iterable[bytes], *, seconds: float = float("inf")) -> Counts:
    """Runs a target over `contents`, for so long at most."""
    counts = Counts()
    end = time.monotonic() + seconds
    for content in contents:
        if time.monotonic() > end:
            break
        execute(TARGETS[name], content, counts)
    return counts


def table(found: dict[str, Counts]) -> str:
    """What came of each target."""
    lines = ["| target | executions | accepted | refused | others |", "| --- | --- | --- | --- | --- |"]
    for name, one in found.items():
        lines.append(f"| {name} | {one.executions:,} | {one.accepted:,} | {one.refused:,} | {one.others:,} |")
    return "\n".join(lines)


def _note(counts: Counts, fault: str, content: bytes) -> None:
    counts.others += 1
    counts.faults.setdefault(fault, content)


def _place(error: Exception) -> str:
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "/.venv/" not in frame.filename]
    return f"{Path(frames[-1].filename).name}:{frames[-1].lineno}"
