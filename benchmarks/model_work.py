"""Counts the arithmetic of one pass of each model's network: `python -m benchmarks.model_work`.

The networks have no weights (PyTorch's `meta` device), so that it takes seconds and no memory.
stacks/facts/card_speeds.py
holds the last column.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

import torch
from diffusers import (
    ChromaTransformer2DModel,
    Flux2Transformer2DModel,
    FluxTransformer2DModel,
    UNet2DConditionModel,
    ZImageTransformer2DModel,
)
from torch.utils.flop_counter import FlopCounterMode

from scripts.interruption.signals import ends_in_a_sentence
from userdata.contract.bundle import BUNDLE

TEXT_TOKENS = {"stable-diffusion-v1": 77, "stable-diffusion-xl": 77, "flux-schnell": 256}
# Those of the pipelines whose texts are filled up; Z-Image reads a text as long as it is, here one of 100 tokens.
FILLED_UP, A_TEXT = 512, 100


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


def klein_tflop(*, height: int, width: int) -> float:
    """TFLOP of one pass of FLUX.2 klein's transformer."""
    transformer = Flux2Transformer2DModel.from_config(_config("flux2-klein"))
    patches = height * width // 256
    return _count(
        lambda: transformer(
            hidden_states=torch.zeros(1, patches, 128),
            encoder_hidden_states=torch.zeros(1, FILLED_UP, 7680),
            timestep=torch.zeros(1),
            guidance=None,
            img_ids=torch.zeros(1, patches, 4),
            txt_ids=torch.zeros(1, FILLED_UP, 4),
        )
    )


def chroma_tflop(*, height: int, width: int) -> float:
    """TFLOP of one pass of Chroma's transformer."""
    transformer = ChromaTransformer2DModel.from_config(_config("chroma"))
    patches = height * width // 256
    return _count(
        lambda: transformer(
            hidden_states=torch.zeros(1, patches, 64),
            encoder_hidden_states=torch.zeros(1, FILLED_UP, 4096),
            timestep=torch.zeros(1),
            img_ids=torch.zeros(patches, 3),
            txt_ids=torch.zeros(FILLED_UP, 3),
        )
    )


def z_image_tflop(*, height: int, width: int) -> float:
    """TFLOP of one pass of Z-Image's transformer, Turbo's too, by hand: its code looks into its tensors.

    The refiners of image and text come before the layers of both together; each block has its attention.
    """
    config = _config("z-image")
    patches, tokens = height * width // 256, -(-A_TEXT // 32) * 32
    with torch.device("meta"):
        network = ZImageTransformer2DModel.from_config(config)
    block = sum(int(one.numel()) for one in network.layers[0].parameters())

    def blocks(count: int, length: int) -> float:
        return count * (2.0 * block * length + 4.0 * length**2 * float(config["dim"]))

    layers, refiners = int(config["n_layers"]), int(config["n_refiner_layers"])
    return (blocks(layers, patches + tokens) + blocks(refiners, patches) + blocks(refiners, tokens)) / 1e12


def _config(layout: str) -> dict[str, Any]:
    config: dict[str, Any] = json.loads((BUNDLE.models / layout / "transformer/config.json").read_text("utf-8"))
    return config


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
        klein = klein_tflop(height=1024, width=1024)
        chroma = chroma_tflop(height=1024, width=1024)
        z_image = z_image_tflop(height=1024, width=1024)
    for name, pixels, tflop in (
        ("stable-diffusion-v1", 512 * 640, first),
        ("stable-diffusion-xl", 1024 * 1024, large),
        ("flux-schnell", 1024 * 1024, flux),
        ("flux2-klein", 1024 * 1024, klein),
        ("z-image", 1024 * 1024, z_image),
        ("chroma", 1024 * 1024, chroma),
    ):
        relative = (tflop / pixels) / (first / (512 * 640))
        sys.stdout.write(f"{name:20} {pixels:8} pixels {tflop:7.2f} TFLOP a pass, {relative:.2f} per pixel\n")


if __name__ == "__main__":
    with ends_in_a_sentence():
        main()
