"""A model of Stable Diffusion 1's layout, only narrower, as the original checkpoints name its weights."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel

from benchmarks.original_layout import original_layout
from userdata.worker.model.pipeline import LAYOUTS


def make_narrow(layouts: Path, name: str = "narrow") -> dict[str, Any]:
    """The parts of the model, whose layout becomes the folder `name` of `layouts`."""
    layout = layouts / name
    shutil.copytree(LAYOUTS / "stable-diffusion-v1", layout)
    configure(layout / "unet/config.json", block_out_channels=[32, 64, 64, 64], cross_attention_dim=64)
    configure(layout / "vae/config.json", block_out_channels=[32, 32, 64, 64])
    configure(
        layout / "text_encoder/config.json",
        hidden_size=64,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        projection_dim=64,
    )
    return {
        "text_encoder": CLIPTextModel(CLIPTextConfig.from_pretrained(layout / "text_encoder")),
        "unet": UNet2DConditionModel.from_config(UNet2DConditionModel.load_config(layout / "unet")),
        "vae": AutoencoderKL.from_config(AutoencoderKL.load_config(layout / "vae")),
    }


def checkpoint_of(parts: dict[str, Any]) -> dict[str, torch.Tensor]:
    return original_layout(**{name: part.state_dict() for name, part in parts.items()})


def configure(file: Path, **changes: Any) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))
