"""Draws the images of a job, batch by batch. Image k depends on the job and on k, and on nothing else."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy
import torch
from diffusers import DiffusionPipeline
from PIL import Image

from userdata.worker.drawn_with import DrawnWith
from userdata.worker.image_request import ImageRequest
from userdata.worker.job import Job
from userdata.worker.run_error import RunError
from userdata.worker.samplers import make_scheduler

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class DrawnImage:
    """An image, its share in seconds of the time that its batch took, and how it was computed."""

    index: int
    image: Image.Image
    seconds: float
    drawn_with: DrawnWith


def prepare_sampler(pipeline: DiffusionPipeline, request: ImageRequest, configuration: Mapping[str, Any]) -> None:
    """Gives `pipeline` the sampler of `request`; `configuration` is that of the checkpoint's own scheduler.

    Not the configuration of the scheduler that `pipeline` has by now: what an earlier request needed would stick.
    """
    pipeline.scheduler = make_scheduler(request.sampler, configuration, request.ddim_steps)


def draw_batch(
    pipeline: DiffusionPipeline,
    job: Job,
    batch: Sequence[ImageRequest],
    *,
    initial_image: Image.Image | None,
    on_step: Callable[[float], None],
) -> list[DrawnImage]:
    """Draws the images of `batch`, which have one `batch_key`, at once. `pipeline` must have been given their sampler.

    `on_step` hears the finished share of the batch, from 0 to 1, after every denoising step; what it raises ends the
    batch. Raises `RunError` when the GPU's memory does not suffice or the model yields no numbers.

    Every image has a random generator of its own, on the CPU, so that neither its neighbours in the batch nor the kind
    of GPU change its noise. Guidance is off for a scale of 0 or 1, as diffusers has it.
    """

    def tell(_pipeline: Any, step: int, _timestep: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        on_step(min(1.0, (step + 1) / max(1, pipeline.num_timesteps)))
        return tensors

    one = batch[0]
    size = {"height": one.H, "width": one.W} if initial_image is None else {}
    start = {} if initial_image is None else {"image": [initial_image] * len(batch), "strength": one.strength}
    began = time.monotonic()
    try:
        arrays = pipeline(
            prompt=[request.prompt for request in batch],
            negative_prompt=[request.negative_prompt for request in batch],
            num_inference_steps=one.ddim_steps,
            guidance_scale=one.scale,
            generator=[torch.Generator("cpu").manual_seed(request.seed) for request in batch],
            output_type="np",
            callback_on_step_end=tell,
            **size,
            **start,
        ).images
    except torch.OutOfMemoryError as error:
        raise RunError(
            f"The GPU's memory does not suffice for {len(batch)} images of {one.W} × {one.H} at once. Deploy again "
            "with a smaller Samples, Height or Width, or with an InstanceType whose GPU has more memory."
        ) from error
    seconds = (time.monotonic() - began) / len(batch)
    if not numpy.isfinite(arrays).all():
        raise RunError(
            f"The model {job.model} computed something that is not a number, which would be a black image. Use another "
            "Sampler or a smaller GuidanceScale."
        )
    pictures = [Image.fromarray(pixels) for pixels in (arrays * 255).round().astype(numpy.uint8)]
    drawn_with = DrawnWith(
        indices=[request.index for request in batch],
        execution="eager",
        precision=str(pipeline.dtype).removeprefix("torch."),
        device=_name_of(pipeline.device),
    )
    return [
        DrawnImage(request.index, picture, seconds, drawn_with)
        for request, picture in zip(batch, pictures, strict=True)
    ]


def _name_of(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
