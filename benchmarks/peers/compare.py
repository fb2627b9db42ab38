"""`scripts/bench --peers`: the models of the catalogue at their real shapes, ours beside eager and compiled diffusers.

Weights are random and made on the card. Each model has a process of its own, in which it is drawn in every way; a way
that fails, hangs or ends the process is told as having no figure, and the next one begins in another process.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks.peers.table import table
from benchmarks.peers.works import DRAWN, NONE, WAYS, WORKS
from scripts.command_line.terminal.plain_text import say
from scripts.interruption.scratch_folder import scratch_folder
from scripts.interruption.signals import ends_in_a_sentence

REPOSITORY = Path(__file__).parents[2]
USUAL = tuple(way for way in WAYS if way not in ("float8", "files"))
# For a process to end once its last way is over, and before its first one has begun.
START_SECONDS = 90


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code: 0 also where some ways have no figure."""
    options = _options(arguments)
    if not options.tiny and not torch.cuda.is_available():
        say("benchmark: PyTorch can use no GPU on this machine. Run it on one that has one, or with --tiny.")
        return 1
    ends = time.monotonic() + options.minutes * 60
    documents = {}
    with scratch_folder("sd-benchmark-", options.scratch) as scratch:
        for model in WORKS if options.model == "all" else [options.model]:
            documents[model] = with_shares(_measure(model, options, scratch, ends))
            options.into.mkdir(parents=True, exist_ok=True)
            file = options.into / file_name(documents[model], model)
            file.write_text(json.dumps(documents[model], indent=2) + "\n", "utf-8")
            say(f"{model}: {file}")
    say("\n".join(table(documents)))
    return 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/bench --peers", description="Time the catalogue's models beside diffusers, on random weights."
    )
    parser.add_argument("--peers", action="store_true", help="compare with diffusers, plain and compiled")
    parser.add_argument("--model", choices=("all", *WORKS), default="all", help="what to draw; all of it by default")
    parser.add_argument(
        "--ways",
        nargs="+",
        choices=WAYS,
        default=USUAL,
        help="what to time; float8 and the loading of files only if asked for",
    )
    parser.add_argument("--seconds", type=float, default=10, help="for each figure; more where three times take longer")
    parser.add_argument("--limit", type=float, default=300, help="seconds for each way, compiling included")
    parser.add_argument("--minutes", type=float, default=120, help="for all of it; what is left then has no figure")
    parser.add_argument("--steps", type=int, help="of each image, in place of the model's own")
    parser.add_argument("--tiny", action="store_true", help="the same in miniature on the CPU, to try it out")
    parser.add_argument("--into", type=Path, default=REPOSITORY / "docs/performance", help="folder for the figures")
    parser.add_argument("--compiled", type=Path, help="folder that keeps what was compiled; forgotten without it")
    parser.add_argument("--scratch", type=Path, help="folder for files of up to 34 GB; the usual one without it")
    return parser.parse_args(arguments)


def _measure(model: str, options: argparse.Namespace, scratch: Path, ends: float) -> dict[str, Any]:
    """The figures of `model` by the ways, in as many processes as it takes."""
    document: dict[str, Any] = {"model": model}
    left = [way for way in WAYS if way in options.ways]
    while left:
        seconds = ends - time.monotonic()
        if seconds <= 0:
            return document | {way: {NONE: "time limit of the whole benchmark"} for way in left}
        why = _child(model, left, options, scratch, document, min(seconds, options.limit * len(left) + START_SECONDS))
        missing = [way for way in left if way not in document]
        if missing:
            document[missing[0]] = {NONE: why}
        left = missing[1:]
    return document


def _child(
    model: str, ways: list[str], options: argparse.Namespace, scratch: Path, document: dict[str, Any], seconds: float
) -> str:
    """Adds what a process could measure to `document`. Returns why it has no more."""
    figures, began = scratch / f"{model}-{len(ways)}.json", time.monotonic()
    own = scratch / f"{model}-{len(ways)}"
    own.mkdir()
    compiled = (options.compiled or scratch / "compiled").absolute()
    kept = {"TORCHINDUCTOR_CACHE_DIR": "inductor", "TRITON_CACHE_DIR": "triton", "CUDA_CACHE_PATH": "cuda"}
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks.peers.one_model", model, str(figures)]
    command += ["--ways", *ways, "--scratch", str(own), "--limit", str(options.limit)]
    command += ["--seconds", str(options.seconds), *(["--tiny"] if options.tiny else [])]
    command += ["--steps", str(options.steps)] if options.steps else []
    # What a limit ends is named in the figures; where a library hung, the watchdog has printed it.
    with subprocess.Popen(
        command, cwd=REPOSITORY, env=os.environ | {name: str(compiled / folder) for name, folder in kept.items()}
    ) as child:
        try:
            status = child.wait(timeout=seconds)
            why = f"the process ended with status {status}"
        except subprocess.TimeoutExpired:
            why = "time limit"
        finally:
            child.kill()
    if figures.exists():
        document.update(json.loads(figures.read_text("utf-8")))
    late = time.monotonic() - began >= options.limit
    return f"time limit of {options.limit:.0f} s" if late else why


def with_shares(document: dict[str, Any]) -> dict[str, Any]:
    """`document`, in which each figure has the share that the arithmetic at the card's own rate takes of it."""
    try:
        floor = document["floor"]["image_tflop"] / document["ceilings"]["product_tflops"]
    except KeyError:
        return document
    document["floor"]["image_s"] = floor
    float8 = document["ceilings"]["float8_product_tflops"]
    for way in DRAWN:
        least = document["floor"]["image_tflop"] / float8 if way == "float8" and float8 else floor
        for figure in document.get(way, {}).values():
            if isinstance(figure, dict):
                figure["share_of_floor"] = least / figure["median_s"]
    return document


def file_name(document: dict[str, Any], model: str) -> str:
    """Of the card, the day and the model."""
    card = str(document.get("machine", {}).get("GPU", "cpu")).partition(",")[0].removeprefix("NVIDIA ")
    return f"{card.lower().replace(' ', '-')}-{time.strftime('%Y-%m-%d')}-{model}.json"


if __name__ == "__main__":
    with ends_in_a_sentence():
        sys.exit(main())
