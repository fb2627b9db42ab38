"""Writes the model in the layout of diffusers, in half precision."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import torch

from demo_model.training.architecture import make_scheduler
from scripts.interruption.scratch_folder import scratch_folder

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
    """Writes the parts and the index into `folder`, whose `tokenizer` is there already; the parts stay as they are.

    Each file is replaced as a whole, so that the folder can be copied at any moment after the first time.
    """
    for name, part in (("vae", vae), ("unet", unet), ("text_encoder", text_encoder)):
        (folder / name).mkdir(parents=True, exist_ok=True)
        # One order of the numbers in memory for all files, whatever the training used.
        plain = copy.deepcopy(part).cpu().half().to(memory_format=torch.contiguous_format)
        with scratch_folder(".sd-export-", folder) as scratch:
            new = scratch / name
            plain.save_pretrained(new, safe_serialization=True)
            for file in new.iterdir():
                # safetensors writes for the owner only; the worker is another user than the one who unpacks the bundle.
                file.chmod(0o644)
                file.replace(folder / name / file.name)
    make_scheduler().save_pretrained(folder / "scheduler")
    (folder / "model_index.json").write_text(json.dumps(MODEL_INDEX, indent=2) + "\n", "utf-8")
