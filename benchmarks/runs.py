"""The product's own loading and drawing, timed in this process."""

from __future__ import annotations

import contextlib
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from diffusers import DiffusionPipeline

from userdata.job.image_request import image_requests
from userdata.job.job import Job
from userdata.job.run_error import Stopped
from userdata.worker.between.task import DrawnImage
from userdata.worker.drawing.drawing import Drawing
from userdata.worker.drawing.drawing_hooks import DrawingHooks
from userdata.worker.drawing.prepared import Prepared
from userdata.worker.loaded.pause import Pause
from userdata.worker.model.pipeline import load_pipeline

GIB = 2**30
PAUSE_SECONDS = 0.02


@dataclass
class Run:
    """A drawing, or its beginning. Times are on `time.monotonic`'s clock; `seconds` are an image's, batch by batch."""

    began: float
    first_step: float = 0.0
    ended: float = 0.0
    finished: list[tuple[float, int]] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    execution: str = ""
    peak_gib: float = 0.0
    reserved_gib: float = 0.0

    @property
    def batch(self) -> int:
        """The number of images in the first batch."""
        return self.finished[0][1]

    def summary(self) -> dict[str, Any]:
        """The figures in seconds and GiB."""
        return {
            "images": sum(count for _, count in self.finished),
            "batch": self.batch,
            "execution": self.execution,
            **spread_after_the_first(self.seconds),
            "first_batch_s": self.seconds[0],
            "peak_gib": self.peak_gib,
            "reserved_gib": self.reserved_gib,
        }


def spread_after_the_first(seconds: Sequence[float]) -> dict[str, float]:
    """Of all but the first, which prepares; of the first where it is the only one."""
    usual = seconds[1:] or seconds
    return {"median_s": statistics.median(usual), "least_s": min(usual), "most_s": max(usual)}


def load(folder: Path, *, layout: str | None, device: torch.device) -> DiffusionPipeline:
    """The model in `folder` on `device`."""
    return load_pipeline(folder, layout=layout, device=device, from_image=False)


def draw(
    pipeline: DiffusionPipeline,
    job: Job,
    *,
    batches: int | None = None,
    seconds: float | None = None,
    on_image: Callable[[DrawnImage], None] | None = None,
    on_step: Callable[[], None] = lambda: None,
    prepared: Prepared | None = None,
) -> Run:
    """Draws `job` with `pipeline`, or only its first `batches` batches: the product then plans for the whole job.

    After `seconds`, and three batches, no further one is begun. `on_step` is called after every step. `prepared` is
    what outlives the drawing in a worker that stays; such a worker then uses a pause, which is not in the run's times.
    """
    cuda = pipeline.device.type == "cuda"
    if cuda:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    run = Run(began=time.monotonic())
    begun = 0

    def stop_after_the_last() -> None:
        nonlocal begun
        late = seconds is not None and time.monotonic() - run.began > seconds
        if begun == batches or (late and begun > 2):
            raise Stopped
        begun += 1

    def step() -> None:
        if not run.first_step:
            if cuda:
                torch.cuda.synchronize()
            run.first_step = time.monotonic()
        on_step()

    def save(drawn: DrawnImage) -> None:
        if drawn.index == drawn.drawn_with.indices[-1]:
            run.finished.append((time.monotonic(), len(drawn.drawn_with.indices)))
            run.seconds.append(drawn.seconds)
            run.execution = drawn.drawn_with.execution
        if on_image:
            on_image(drawn)

    requests = image_requests(job)
    drawing = Drawing(
        pipeline,
        job,
        requests,
        total=len(requests),
        initial_image=None,
        hooks=DrawingHooks(save, begin_batch=stop_after_the_last, leave_if_asked=step),
        prepared=prepared,
    )
    with contextlib.suppress(Stopped):
        drawing.do()
    run.ended = time.monotonic()
    if prepared:
        _pause(drawing)
    if cuda:
        run.peak_gib = torch.cuda.max_memory_allocated() / GIB
        run.reserved_gib = torch.cuda.max_memory_reserved() / GIB
    return run


def _pause(drawing: Drawing) -> None:
    pause = Pause(drawing)
    while pause.has_work:
        pause.use(lambda: None)
        time.sleep(PAUSE_SECONDS)
