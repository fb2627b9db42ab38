"""Draws the images of a job, batch by batch. Image k depends on the job and on k, and on nothing else."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy
import torch
from diffusers import DiffusionPipeline
from PIL import Image

from userdata.worker.job import Job
from userdata.worker.run_error import RunError
from userdata.worker.samplers import make_scheduler

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class DrawnImage:
    """An image and its share, in seconds, of the time that its batch took."""

    index: int
    image: Image.Image
    seconds: float


def batches(indices: Iterable[int], size: int) -> Iterator[list[int]]:
    """`indices` in their order, `size` at a time; the last batch may be smaller."""
    remaining = iter(indices)
    while batch := list(islice(remaining, size)):
        yield batch


def prepare_sampler(pipeline: DiffusionPipeline, job: Job) -> None:
    """Gives `pipeline` the job's sampler."""
    pipeline.scheduler = make_scheduler(str(job.sampler), pipeline.scheduler.config, job.ddim_steps)


def draw_batch(
    pipeline: DiffusionPipeline,
    job: Job,
    indices: list[int],
    *,
    initial_image: Image.Image | None,
    on_step: Callable[[float], None],
) -> list[DrawnImage]:
    """Draws the images `indices` at once. `pipeline` must have been given the job's sampler.

    `on_step` hears the finished share of the batch, from 0 to 1, after every denoising step; what it raises ends the
    batch. Raises `RunError` when the GPU's memory does not suffice or the model yields no numbers.

    Every image has a random generator of its own, on the CPU, so that neither its neighbours in the batch nor the kind
    of GPU change its noise. Guidance is off for a scale of 0 or 1, as diffusers has it.
    """

    def tell(_pipeline: Any, step: int, _timestep: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        on_step(min(1.0, (step + 1) / max(1, pipeline.num_timesteps)))
        return tensors

    size = {"height": job.H, "width": job.W} if initial_image is None else {}
    start = {} if initial_image is None else {"image": [initial_image] * len(indices), "strength": job.strength}
    began = time.monotonic()
    try:
        arrays = pipeline(
            prompt=[job.prompt] * len(indices),
            negative_prompt=[job.negative_prompt] * len(indices),
            num_inference_steps=job.ddim_steps,
            guidance_scale=job.scale,
            generator=[torch.Generator("cpu").manual_seed(job.seed + index) for index in indices],
            output_type="np",
            callback_on_step_end=tell,
            **size,
            **start,
        ).images
    except torch.OutOfMemoryError as error:
        raise RunError(
            f"The GPU's memory does not suffice for {len(indices)} images of {job.W} × {job.H} at once. Deploy again "
            "with a smaller Samples, Height or Width, or with an InstanceType whose GPU has more memory."
        ) from error
    seconds = (time.monotonic() - began) / len(indices)
    if not numpy.isfinite(arrays).all():
        raise RunError(
            f"The model {job.model} computed something that is not a number, which would be a black image. Use another "
            "Sampler or a smaller GuidanceScale."
        )
    pictures = [Image.fromarray(pixels) for pixels in (arrays * 255).round().astype(numpy.uint8)]
    return [DrawnImage(index, picture, seconds) for index, picture in zip(indices, pictures, strict=True)]
