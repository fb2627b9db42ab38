"""`python -m benchmarks.generator`: times the product's own loading, drawing and worker, and compares with the targets.

The model has Stable Diffusion v1's size and layout and random weights, which it makes itself: speed does not depend on
their values, and nothing is downloaded. On a machine without a GPU, `--model tiny` goes the same way in miniature.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from benchmarks.card import Utilisation, describe, matrix_rate
from benchmarks.random_checkpoint import make_model
from benchmarks.runs import Run, draw, load, spread_after_the_first
from benchmarks.short_job import do_short_job
from scripts.command_line.terminal.plain_text import say
from scripts.interruption.scratch_folder import scratch_folder
from scripts.interruption.signals import ends_in_a_sentence
from stacks.facts.card_speeds import DECODE_TFLOP, STEP_TFLOP
from userdata.job.job import Job

LONG_RUN_IMAGES = 1600
PARTS = ("load", "memory", "ddim", "dpm-solver", "short")


@dataclass(frozen=True)
class Target:
    """A figure that the product promises on an H100: at most, or at least, `bound`."""

    what: str
    bound: float
    unit: str
    at_least: bool = False

    def line(self, figure: float) -> dict[str, Any]:
        """The target with its figure, and whether it is met."""
        met = figure >= self.bound if self.at_least else figure <= self.bound
        return {"target": self.what, "bound": self.bound, "figure": figure, "unit": self.unit, "met": met}


LOAD = Target("weights file to first step", 4.0, "s")
MEMORY = Target("peak memory for 3 samples", 5.0, "GiB")
DDIM = Target("an image of 75 DDIM steps in a long run", 0.42, "s")
DPM_SOLVER = Target("an image of 25 DPM-Solver++ steps in a long run", 0.14, "s")
SHORT = Target("short job: 6 images of 75 steps, process start to last image in the bucket", 10.0, "s")
BUSY = Target("GPU busy while a long run generates", 0.95, "of the time", at_least=True)


class Benchmark:
    """The parts, each of which prints its figures and adds them to `figures`, and its targets to `targets`."""

    def __init__(self, options: argparse.Namespace, scratch: Path) -> None:
        self.device = torch.device("cpu" if options.model == "tiny" else "cuda")
        self.figures: dict[str, Any] = {}
        self.targets: list[dict[str, Any]] = []
        self._options = options
        self._scratch = scratch
        self._layout = "" if options.model == "tiny" else "stable-diffusion-v1"
        self._model = scratch / "model"
        self._pipeline: Any = None
        self._rate = 0.0

    def prepare(self) -> None:
        """Describes the machine, measures its matrix product, and makes the model."""
        self._tell("machine", describe(self.device))
        self._rate = matrix_rate(self.device)
        self._tell("matrix product", {"tera_operations_per_s": self._rate / 1e12})
        began = time.monotonic()
        make_model(self._model, tiny=not self._layout, device=self.device)
        self._tell("model", {"made_in_s": time.monotonic() - began})

    def load(self) -> None:
        """From the weights file, which is in the page cache, to the end of the first step."""
        began = time.monotonic()
        self._pipeline = load(self._model, layout=self._layout, device=self.device)
        loaded = time.monotonic()
        run = draw(self._pipeline, self._job(images=3, samples=3, steps=2))
        seconds = run.first_step - began
        self._tell("load", {"load_s": loaded - began, "first_step_s": seconds - (loaded - began), "whole_s": seconds})
        self._compare(LOAD, seconds)

    def memory(self) -> None:
        """The GPU memory of a job of 3 samples."""
        run = draw(self._loaded(), self._job(images=3, samples=3, steps=10))
        self._tell("memory", run.summary())
        self._compare(MEMORY, run.reserved_gib)

    def ddim(self) -> None:
        """The middle of a long run of 75 DDIM steps, as the original's example has it."""
        busy = self._long_run("ddim", steps=75, sampler="ddim", target=DDIM)
        if busy is not None:
            self._compare(BUSY, busy)

    def dpm_solver(self) -> None:
        """The middle of a long run of 25 DPM-Solver++ steps."""
        self._long_run("dpm-solver", steps=25, sampler="dpm_solver", target=DPM_SOLVER)

    def short(self) -> None:
        """The worker's process with six images: as often as asked, of which the first finds a colder machine.

        An instance has its kernels compiled after its first long run, and from the bucket: here after a part with one.
        """
        self._pipeline = None
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        jobs = []
        for attempt in range(self._options.short_jobs):
            job = do_short_job(
                self._job(images=6, samples=3, steps=75),
                folder=self._scratch / f"machine-{attempt}",
                model=self._model,
                cpu=self.device.type == "cpu",
            )
            figures = {"last_image_s": job.last_image, "end_s": job.ended, **job.phases, "execution": job.execution}
            self._tell(f"short job {attempt + 1}", figures)
            jobs.append(job.last_image)
        spread = spread_after_the_first(jobs)
        self._tell("short jobs after the first", spread)
        self._compare(SHORT, spread["median_s"])

    def _long_run(self, name: str, *, steps: int, sampler: str, target: Target) -> float | None:
        job = self._job(images=self._options.images, samples=8, steps=steps, sampler=sampler)
        utilisation = Utilisation()
        pipeline = self._loaded()
        with utilisation.sampled(self.device):
            run = draw(pipeline, job, batches=self._options.batches)
        busy = utilisation.share(run.finished[0][0], run.finished[-1][0]) if len(run.finished) > 1 else None
        summary = run.summary()
        operations = (job.ddim_steps * STEP_TFLOP + DECODE_TFLOP) * 1e12
        if self._layout:
            summary["share_of_matrix_product"] = operations / summary["median_s"] / self._rate
        self._tell(name, {**summary, **self._setting_up(run), "gpu_busy": busy})
        self._compare(target, summary["median_s"])
        return busy

    def _setting_up(self, run: Run) -> dict[str, float]:
        """What the first batch took beyond the usual: recording, and compiling where that pays."""
        return {"setting_up_s": (run.seconds[0] - run.summary()["median_s"]) * run.batch}

    @property
    def _height(self) -> int:
        return 512 if self._layout else 64

    @property
    def _width(self) -> int:
        return 640 if self._layout else 80

    def _steps(self, steps: int) -> int:
        return steps if self._layout else min(steps, 5)

    def _job(self, *, images: int, samples: int, steps: int, sampler: str = "ddim") -> Job:
        return Job(
            model="stable-diffusion-v1-5" if self._layout else "tiny",
            n_iter=max(1, images // samples),
            n_samples=samples,
            ddim_steps=self._steps(steps),
            sampler=sampler,
            safety_checker="off",
            H=self._height,
            W=self._width,
        )

    def _loaded(self) -> Any:
        if self._pipeline is None:
            self._pipeline = load(self._model, layout=self._layout, device=self.device)
        return self._pipeline

    def _tell(self, name: str, figures: dict[str, Any]) -> None:
        self.figures[name] = figures
        shown = ", ".join(
            f"{key} {f'{value:.3f}' if isinstance(value, float) else value}" for key, value in figures.items()
        )
        say(f"{name}: {shown}")

    def _compare(self, target: Target, figure: float) -> None:
        if self._layout:  # the tiny model says nothing about them
            self.targets.append(target.line(figure))


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code: 0 whether or not the targets are met, since they are meant for one card."""
    if "--peers" in (sys.argv[1:] if arguments is None else arguments):
        # Imported here, because it imports every kind of pipeline.
        from benchmarks.peers.compare import main as compare

        return compare(arguments)
    options = _options(arguments)
    if options.model != "tiny" and not torch.cuda.is_available():
        say("benchmark: PyTorch can use no GPU on this machine. Run it on one that has one, or with --model tiny.")
        return 1
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    with scratch_folder("sd-benchmark-", options.scratch) as scratch:
        compiled = Path(options.compiled or scratch).absolute() / "compiled"
        # Read by the compilers when they are imported, and kept from one benchmark to the next when asked for.
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(compiled / "inductor")
        os.environ["TRITON_CACHE_DIR"] = str(compiled / "triton")
        os.environ["CUDA_CACHE_PATH"] = str(compiled / "cuda")
        benchmark = Benchmark(options, scratch)
        parts: dict[str, Callable[[], None]] = {
            part: getattr(benchmark, part.replace("-", "_")) for part in PARTS if part in options.parts
        }
        benchmark.prepare()
        for part in parts.values():
            part()
    if benchmark.targets:
        say("\ntarget (for an H100, 512 x 640, guidance on)")
    for line in benchmark.targets:
        met = "met" if line["met"] else "MISSED"
        say(f"  {met:6}  {line['figure']:.3g} {line['unit']} (target {line['bound']:g})  {line['target']}")
    if options.json:
        document = {"figures": benchmark.figures, "targets": benchmark.targets}
        options.json.write_text(json.dumps(document, indent=2) + "\n", "utf-8")
    return 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/bench", description="Time the worker and compare with its targets.")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS, help="what to time; all of it by default")
    parser.add_argument("--model", choices=("stable-diffusion-v1-5", "tiny"), default="stable-diffusion-v1-5")
    parser.add_argument(
        "--peers", action="store_true", help="compare every model with diffusers instead; --peers --help says how"
    )
    parser.add_argument("--images", type=int, default=LONG_RUN_IMAGES, help="size of the long run that is planned for")
    parser.add_argument("--batches", type=int, default=4, help="how many batches of the long run are drawn")
    parser.add_argument("--short-jobs", type=int, default=5, help="how often the short job is done")
    parser.add_argument("--compiled", help="folder that keeps compiled kernels; forgotten without it")
    parser.add_argument(
        "--scratch", type=Path, help="folder for the model's 4.3 GB and the job's files; the usual one without it"
    )
    parser.add_argument("--json", type=Path, help="file to write the figures to")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    with ends_in_a_sentence():
        sys.exit(main())
