"""Counts the arithmetic of one pass of each model's network: `python -m benchmarks.model_work`.

The networks have no weights (PyTorch's `meta` device), so that it takes seconds and no memory.
stacks/facts/card_speeds.py
holds the last column.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable

import torch
from diffusers import FluxTransformer2DModel, UNet2DConditionModel
from torch.utils.flop_counter import FlopCounterMode

from scripts.interruption.signals import ends_in_a_sentence
from userdata.contract.bundle import BUNDLE

TEXT_TOKENS = {"stable-diffusion-v1": 77, "stable-diffusion-xl": 77, "flux-schnell": 256}


def unet_tflop(layout: str, *, height: int, width: int) -> float:
    """TFLOP of one pass of a UNet for an image of that size in pixels."""
    config = json.loads((BUNDLE.models / layout / "unet/config.json").read_text("utf-8"))
    unet = UNet2DConditionModel.from_config(config)
    latents = torch.zeros(1, 4, height // 8, width // 8)
    text = torch.zeros(1, TEXT_TOKENS[layout], config["cross_attention_dim"])
    added = {"text_embeds": torch.zeros(1, 1280), "time_ids": torch.zeros(1, 6)}
    return _count(lambda: unet(latents, torch.tensor(1.0), text, added_cond_kwargs=added))


def flux_tflop(*, height: int, width: int) -> float:
    """TFLOP of one pass of FLUX.1 schnell's transformer for an image of that size in pixels."""
    transformer = FluxTransformer2DModel(guidance_embeds=False)
    patches, tokens = height * width // 256, TEXT_TOKENS["flux-schnell"]
    return _count(
        lambda: transformer(
            hidden_states=torch.zeros(1, patches, 64),
            encoder_hidden_states=torch.zeros(1, tokens, 4096),
            pooled_projections=torch.zeros(1, 768),
            timestep=torch.zeros(1),
            img_ids=torch.zeros(patches, 3),
            txt_ids=torch.zeros(tokens, 3),
        )
    )


def _count(forward: Callable[[], object]) -> float:
    with FlopCounterMode(display=False) as counter:
        forward()
    return float(counter.get_total_flops()) / 1e12


def main() -> None:
    """Prints a line for each model: size, TFLOP of a pass, and work per pixel relative to Stable Diffusion v1."""
    with torch.device("meta"):
        first = unet_tflop("stable-diffusion-v1", height=512, width=640)
        large = unet_tflop("stable-diffusion-xl", height=1024, width=1024)
        flux = flux_tflop(height=1024, width=1024)
    for name, pixels, tflop in (
        ("stable-diffusion-v1", 512 * 640, first),
        ("stable-diffusion-xl", 1024 * 1024, large),
        ("flux-schnell", 1024 * 1024, flux),
    ):
        relative = (tflop / pixels) / (first / (512 * 640))
        sys.stdout.write(f"{name:20} {pixels:8} pixels {tflop:7.2f} TFLOP a pass, {relative:.2f} per pixel\n")


if __name__ == "__main__":
    with ends_in_a_sentence():
        main()
