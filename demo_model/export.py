"""Writes the model in the layout of diffusers, in half precision."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from demo_model.architecture import make_scheduler

MODEL_INDEX = {
    "_class_name": "StableDiffusionPipeline",
    "feature_extractor": [None, None],
    "image_encoder": [None, None],
    "requires_safety_checker": False,
    "safety_checker": [None, None],
    "scheduler": ["diffusers", "DDIMScheduler"],
    "text_encoder": ["transformers", "CLIPTextModel"],
    "tokenizer": ["transformers", "CLIPTokenizer"],
    "unet": ["diffusers", "UNet2DConditionModel"],
    "vae": ["diffusers", "AutoencoderKL"],
}


def export(folder: Path, *, vae: Any, unet: Any, text_encoder: Any) -> None:
    """Writes the parts and the index into `folder`, whose `tokenizer` is there already."""
    for name, part in (("vae", vae), ("unet", unet), ("text_encoder", text_encoder)):
        # One order of the numbers in memory for all files, whatever the training used.
        plain = part.to(memory_format=torch.contiguous_format) if name != "text_encoder" else part
        plain.half().save_pretrained(folder / name, safe_serialization=True)
        # safetensors writes for the owner only; the worker is another user than the one who unpacks the bundle.
        for file in (folder / name).iterdir():
            file.chmod(0o644)
    make_scheduler().save_pretrained(folder / "scheduler")
    (folder / "model_index.json").write_text(json.dumps(MODEL_INDEX, indent=2) + "\n", "utf-8")
