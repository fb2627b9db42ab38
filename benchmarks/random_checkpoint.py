"""Writes a checkpoint of Stable Diffusion v1's size and layout with random weights: speed does not depend on values."""

from __future__ import annotations

import math
from pathlib import Path

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from safetensors.torch import save_file
from transformers import CLIPTextConfig, CLIPTextModel

from benchmarks.original_layout import original_layout
from userdata.worker.model.pipeline import LAYOUTS
from userdata.worker.model.tiny_model import make_tiny_model

CONFIGURATION = LAYOUTS / "stable-diffusion-v1"


def make_model(folder: Path, *, tiny: bool, device: torch.device) -> None:
    """Makes `folder` with the model `tiny` or with a random checkpoint, whose numbers are drawn on `device`."""
    if tiny:
        make_tiny_model(folder)
    else:
        folder.mkdir()
        write_random_checkpoint(folder / "random.safetensors", device=device)


def write_random_checkpoint(file: Path, *, device: torch.device) -> None:
    """Writes `file` in single precision, as the published one is: 4.3 GB. The numbers are drawn on `device`."""
    with torch.device("meta"):
        parts = {
            "unet": UNet2DConditionModel.from_config(UNet2DConditionModel.load_config(CONFIGURATION / "unet")),
            "vae": AutoencoderKL.from_config(AutoencoderKL.load_config(CONFIGURATION / "vae")),
            "text_encoder": CLIPTextModel(CLIPTextConfig.from_pretrained(CONFIGURATION / "text_encoder")),
        }
    generator = torch.Generator(device).manual_seed(0)
    weights = {
        part: {name: _draw(name, weight.shape, generator) for name, weight in module.state_dict().items()}
        for part, module in parts.items()
    }
    save_file(original_layout(unet=weights["unet"], vae=weights["vae"], text_encoder=weights["text_encoder"]), file)


def _draw(name: str, shape: torch.Size, generator: torch.Generator) -> torch.Tensor:
    """Norms are 1 and biases 0; the rest has variance 1/inputs, so that no number leaves half precision's range."""
    if len(shape) == 1:
        return torch.full(shape, 1.0 if name.endswith("weight") else 0.0)
    drawn = torch.randn(shape, generator=generator, device=generator.device)
    return (drawn / math.sqrt(shape[1:].numel())).cpu()
