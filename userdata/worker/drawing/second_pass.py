"""Draws images a second time at twice their size, as the hires fix of AUTOMATIC1111's web interface does.

The first pass is enlarged as a picture, encoded, and drawn on from the noise of `strength`, as image to image does.
Rejected: to enlarge the latents, as that interface does unless told otherwise, because what is between two latents is
no picture: only much strength repairs it, with which models draw things twice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from diffusers import DiffusionPipeline

from userdata.job.image_request import ImageRequest
from userdata.worker.drawing.samplers import make_scheduler
from userdata.worker.model.pipeline import for_image_to_image


def share_of_first_pass(one: ImageRequest) -> float:
    """The first pass's share of the work on an image like `one`, from 0 to 1, by pixels and steps."""
    return 1 / (1 + one.strength * one.upscale**2) if one.upscale > 1 else 1.0


def draw_larger(
    pipeline: DiffusionPipeline,
    batch: Sequence[ImageRequest],
    colours: torch.Tensor,
    *,
    generators: list[torch.Generator],
    on_step: Callable[[int, int], None],
    **options: Any,
) -> torch.Tensor:
    """The images of `batch`, whose first pass with `pipeline` is `colours`, n × 3 × H × W from 0 to 1.

    The `generators` go on from where the first pass left them. `on_step` hears the number of the step that is done,
    counted from 1, and of how many; `options` are those of the first pass that hold for the second one too.
    """
    one = batch[0]
    larger = for_image_to_image(pipeline)
    # Whatever encodes texts for the first pass, and may remember them.
    larger.encode_prompt = lambda *args, **named: pipeline.encode_prompt(*args, **named)
    # Of one sampler's configuration comes the same sampler again.
    larger.scheduler = make_scheduler(one.sampler, pipeline.scheduler.config, one.ddim_steps, strength=one.strength)
    start = torch.nn.functional.interpolate(colours.float(), scale_factor=one.upscale, mode="bicubic").clamp(0, 1)

    def tell(_pipeline: Any, step: int, _timestep: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        on_step(step + 1, larger.num_timesteps)
        return tensors

    drawn: torch.Tensor = larger(
        image=start,
        strength=one.strength,
        generator=generators,
        callback_on_step_end=tell,
        **options,
    ).images
    return drawn
