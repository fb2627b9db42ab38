"""Predicts how long a run takes plainly, as a CUDA graph, and with fused kernels."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from userdata.record.drawn_with import Execution
from userdata.worker.kernels.kernel_check import seconds_until_loaded

# Of the H200 of the figures below. The fused kernels save access to memory, so that on a smaller card they save more,
# roughly by the square of its multiprocessors. That makes a small card too fast here, and never too slow: an A10G has
# 0.37 of an H200's speed by it, and a seventh of its published arithmetic.
MULTIPROCESSORS = 132
LARGEST_BATCH = 20


@dataclass(frozen=True)
class Work:
    """Milliseconds on an H200. A step of n images of `pixels` takes n times the second number, and the first.

    `started` is a step whose operations the CPU starts one by one, which takes as long whatever the card. `decoded` is
    one image's, plainly and with fused kernels. `plans` is what cuDNN takes in each process and for each shape to
    compile the attention of a U-Net: only with fused kernels, because the other ways have attention ready-made there
    (`execution`). A `unet` is recorded, and its figures are of steps with guidance, which are twice those without.
    """

    pixels: int
    started: float
    plain: tuple[float, float]
    fused: tuple[float, float]
    decoded: tuple[float, float]
    plans: float = 0.0
    unet: bool = False


# By how the names of the pipelines begin. docs/performance.md has the measurements. A step of Chroma runs its network
# twice.
WORK = {
    "StableDiffusionXL": Work(1024 * 1024, 66.1, (8.6, 35.2), (3.0, 26.0), (115.6, 40.3), plans=210, unet=True),
    "StableDiffusion": Work(512 * 640, 23.8, (7.4, 7.8), (2.7, 4.7), (27.2, 7.0), plans=500, unet=True),
    "Flux2": Work(1024 * 1024, 40, (0, 81.9), (0, 58.4), (86, 22)),
    "Flux": Work(1024 * 1024, 60, (0, 163.7), (0, 118.9), (85, 22)),
    "Chroma": Work(1024 * 1024, 120, (0, 340), (0, 293), (85, 22)),
    "ZImage": Work(1024 * 1024, 60, (0, 145.4), (0, 94.3), (86, 22)),
}


def work_of(pipeline: str) -> Work | None:
    """The work of the network of a `pipeline` of that name; None for one that no kernels were written for."""
    return next((work for name, work in WORK.items() if pipeline.startswith(name)), None)


@dataclass(frozen=True)
class Run:
    """`images` of `pixels` each in `steps` steps, on a card of so many `multiprocessors`.

    `loading` is how many seconds this process needs until it has the fused kernels: none, loading or compiling them.
    `prepared` is how the network runs by now, if it is prepared for these very images.
    """

    images: int
    steps: int
    pixels: int
    guided: bool
    multiprocessors: int
    loading: float
    prepared: Execution | None = None


def predicted_seconds(execution: Execution, work: Work, run: Run) -> float:
    """How long `run` takes by `execution` (eager, cuda_graph or fused), without what is the same for all three."""
    speed = (run.multiprocessors / MULTIPROCESSORS) ** 2
    pixels = run.pixels / work.pixels
    share = pixels * (0.5 if work.unet and not run.guided else 1.0)
    batch = min(run.images, LARGEST_BATCH)
    first, for_an_image = work.fused if execution == "fused" else work.plain
    step = (first + for_an_image * batch * share) / speed
    if execution == "eager":
        step = max(step, work.started)
    steps = run.steps * math.ceil(run.images / batch)
    milliseconds = steps * step + run.images * work.decoded[execution == "fused"] * pixels / speed
    if work.unet and execution != "eager" and run.prepared != execution:
        # The first step is a plain one. To record its operations takes the CPU 1.1 to 1.7 times as long as to start
        # them.
        milliseconds += 1.5 * work.started + max(0.0, work.started - step)
    if execution == "fused" and run.prepared != execution:
        milliseconds += work.plans
    return milliseconds / 1000 + (run.loading if execution == "fused" else 0.0)


def ways_by_time(
    device: torch.device,
    work: Work,
    *,
    steps: int,
    images: int,
    pixels: int,
    guided: bool,
    prepared: Execution | None = None,
) -> list[Execution]:
    """The ways to draw such a run on `device`, a GPU, the one that this process finishes first at the beginning.

    The kernels of a transformer are so large that the CPU keeps ahead of the card: a recording gains FLUX.1 5 % of each
    step, and takes longer than that in a run of four steps.
    """
    run = Run(
        images=images,
        steps=steps,
        pixels=pixels,
        guided=guided,
        multiprocessors=torch.cuda.get_device_properties(device).multi_processor_count,
        loading=seconds_until_loaded(device, of_transformer=not work.unet),
        prepared=prepared,
    )
    ways: list[Execution] = ["fused", "cuda_graph", "eager"] if work.unet else ["fused", "eager"]
    return sorted(ways, key=lambda way: predicted_seconds(way, work, run))
