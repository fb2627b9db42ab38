"""`python -m benchmarks.box`: times the model in the box and the demo on this machine, and compares with the targets.

The demo is the real `scripts/demo`, warm: it is run once before, which is not counted. Its time is that from the
command to the picture in ./results.
"""

from __future__ import annotations

import argparse
import math
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import torch

from benchmarks.card import describe
from demo_model.publishing.draw_contact_sheet import requests_for
from demo_model.publishing.publish import BOX, NAME
from scripts.command_line.terminal.plain_text import say
from scripts.interruption.scratch_folder import scratch_folder
from scripts.interruption.signals import ends_in_a_sentence
from userdata.job.job import Job
from userdata.worker.drawing.generate import draw_batch, prepare_sampler
from userdata.worker.model.pipeline import load_pipeline
from userdata.worker.process.library_environment import LIBRARY_ENVIRONMENT

ROOT = Path(__file__).parent.parent
PROMPT = "A horse standing under a tree"
IMAGE_SECONDS = 3.0
MEMORY_GB = 1.5
DEMO_SECONDS = 25.0


def time_images(count: int) -> list[float]:
    """Seconds for each of `count` images, drawn one by one with the catalogue's defaults by a loaded model."""
    pipeline = load_pipeline(BOX, layout=None, device=torch.device("cpu"), from_image=False)
    configuration = dict(pipeline.scheduler.config)
    seconds = []
    for request in requests_for([PROMPT], each=count):
        began = time.monotonic()
        prepare_sampler(pipeline, request, configuration)
        draw_batch(pipeline, Job(model=NAME), [request], initial_image=None, on_step=lambda _share: None)
        seconds.append(time.monotonic() - began)
    return seconds


def time_demo() -> tuple[float, float, float]:
    """Seconds of a demo with one image: to the picture, to the end of the command, and of processors."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    picture = math.nan
    with scratch_folder("sd-benchmark-") as folder:
        began = time.monotonic()
        demo = subprocess.Popen(
            [ROOT / "scripts/demo", PROMPT, "--iterations", "1", "--samples", "1"],
            cwd=folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        while demo.poll() is None:
            if math.isnan(picture) and any(folder.glob("results/*/*/samples/*.png")):
                picture = time.monotonic() - began
            time.sleep(0.02)
        ended = time.monotonic() - began
    if demo.returncode or math.isnan(picture):
        raise RuntimeError(f"scripts/demo ended with {demo.returncode}; run it by hand to see why")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return picture, ended, used


def peak_gb() -> float:
    """The most memory that this process has had, in GB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e9 if sys.platform == "darwin" else peak * 1024 / 1e9


def main() -> None:
    """Prints the machine, the figures and the targets."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.box", description="Time the model in the box.")
    parser.add_argument("--images", type=int, default=7, help="images drawn one by one (%(default)s)")
    parser.add_argument("--demos", type=int, default=3, help="runs of scripts/demo; 0 for none (%(default)s)")
    options = parser.parse_args()
    say("machine: " + ", ".join(f"{name} {value}" for name, value in describe(torch.device("cpu")).items()))
    say(f"threads: {torch.get_num_threads()}")
    images = time_images(options.images)
    _tell("one image of 128 x 128, 25 steps", "s", images, IMAGE_SECONDS)
    _tell("peak memory while drawing, torch included", "GB", [peak_gb()], MEMORY_GB)
    if options.demos:
        time_demo()  # what it keeps from run to run is there afterwards
        demos = [time_demo() for _ in range(options.demos)]
        pictures, ends, processors = zip(*demos, strict=True)
        _tell("warm scripts/demo of one image, to the picture in ./results", "s", pictures, DEMO_SECONDS)
        say(f"  to the end of the command: {statistics.median(ends):.1f} s")
        say(f"  of which processors were used for: {statistics.median(processors):.1f} s")
    say(f"load average at the end: {os.getloadavg()[0]:.1f}")


def _tell(what: str, unit: str, figures: Sequence[float], target: float) -> None:
    middle = statistics.median(figures)
    spread = f" ({min(figures):.2f} to {max(figures):.2f}, {len(figures)} times)" if len(figures) > 1 else ""
    say(f"{what}: {middle:.2f} {unit}{spread}, target {target:g}: {'met' if middle <= target else 'missed'}")


if __name__ == "__main__":
    with ends_in_a_sentence():
        if not LIBRARY_ENVIRONMENT.items() <= os.environ.items():
            # Too late for this process, whose libraries are imported.
            command = [sys.executable, "-m", "benchmarks.box", *sys.argv[1:]]
            os.execve(sys.executable, command, {**os.environ, **LIBRARY_ENVIRONMENT})  # noqa: S606
        main()
