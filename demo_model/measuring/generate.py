"""Draws with the trained model through diffusers' own pipelines."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy
import torch
from diffusers import StableDiffusionImg2ImgPipeline, StableDiffusionPipeline

from userdata.contract.catalogue import find_model

_DEFAULTS = find_model("demo").defaults
STEPS = int(_DEFAULTS["ddim_steps"])
GUIDANCE_SCALE = float(_DEFAULTS["scale"])
BATCH = 250


def load_pipeline(folder: Path, device: str, *, from_image: bool = False) -> Any:
    """The text to image, or image to image, pipeline of the model in `folder`."""
    kind = StableDiffusionImg2ImgPipeline if from_image else StableDiffusionPipeline
    pipeline = kind.from_pretrained(folder, torch_dtype=torch.float16 if device == "cuda" else torch.float32)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline.to(device)


def draw_prompts(pipeline: Any, prompts: Sequence[str], *, seed: int, **options: Any) -> torch.Tensor:
    """One picture for each prompt, the k-th with seed `seed + k`: float32, prompts × 3 × height × width, -1 to 1.

    `options` go to the pipeline, lists of one entry per prompt cut into batches.
    """
    settings = {"num_inference_steps": STEPS, "guidance_scale": GUIDANCE_SCALE, **options}
    made = []
    for start in range(0, len(prompts), BATCH):
        batch = list(prompts[start : start + BATCH])
        cut = {
            name: value[start : start + BATCH] if isinstance(value, (list, torch.Tensor)) else value
            for name, value in settings.items()
        }
        generators = [torch.Generator("cpu").manual_seed(seed + start + number) for number in range(len(batch))]
        made.append(pipeline(batch, generator=generators, output_type="np", **cut).images)
    pictures = torch.from_numpy(numpy.concatenate(made)).permute(0, 3, 1, 2)
    return pictures.float() * 2 - 1
