"""Draws inside a mask, and leaves what is outside as it was: inpainting with an ordinary checkpoint.

After each step the latents outside the mask are replaced by the initial image's, with the noise of the next step, as
diffusers' StableDiffusionInpaintPipeline does for networks without channels for a mask (RePaint, arXiv:2201.09865,
without its repetitions). Rejected: that pipeline, because it needs a scheduler of its own steps and draws the noise in
another order than image to image.
"""

from __future__ import annotations

from typing import Any

import numpy
import torch
from PIL import Image

from userdata.job.init_mask import DRAWN


class Inpainting:
    """The redrawing of `image` where `mask` is not black, both of one size, for one batch of `pipeline`."""

    def __init__(self, pipeline: Any, image: Image.Image, mask: Image.Image) -> None:
        self._pipeline = pipeline
        self._image = _colours(image.convert("RGB"), pipeline.device)
        self._share = _colours(mask, pipeline.device)
        # A latent is drawn if any of its pixels is: the pixels beside are pasted back.
        drawn = (self._share * 255).round() >= DRAWN
        self._inside = torch.nn.functional.max_pool2d(drawn.float(), pipeline.vae_scale_factor) > 0
        self._start: tuple[torch.Tensor, torch.Tensor] | None = None
        self._listen()

    def _listen(self) -> None:
        """Takes the initial image's latents and their noise from the pipeline, which adds the one to the other once."""
        scheduler = self._pipeline.scheduler

        def add_noise(latents: torch.Tensor, noise: torch.Tensor, timesteps: torch.Tensor) -> torch.Tensor:
            del scheduler.add_noise
            self._start = latents, noise
            noised: torch.Tensor = scheduler.add_noise(latents, noise, timesteps)
            return noised

        scheduler.add_noise = add_noise

    def after_step(self, step: int, latents: torch.Tensor) -> torch.Tensor:
        """`latents` after step `step`, counted from 0, with the initial image outside the mask."""
        assert self._start, "the pipeline has begun with an image"
        outside, noise = self._start
        scheduler, steps = self._pipeline.scheduler, self._pipeline.num_timesteps
        if step + 1 < steps:
            following = scheduler.timesteps[-steps:][step + 1 : step + 2]
            outside = scheduler.add_noise(outside, noise, following)
        return torch.where(self._inside, latents, outside.to(latents.dtype))

    def pasted(self, colours: torch.Tensor) -> torch.Tensor:
        """The images n × 3 × H × W from 0 to 1, with the initial image's own pixels where the mask is black."""
        return self._image * (1 - self._share) + colours.float() * self._share


def _colours(image: Image.Image, device: torch.device) -> torch.Tensor:
    """1 × channels × height × width, from 0 to 1."""
    pixels = torch.from_numpy(numpy.array(image)).to(device)
    return pixels.reshape(1, image.height, image.width, -1).permute(0, 3, 1, 2).float() / 255
