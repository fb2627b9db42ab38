"""Loads a checkpoint in the original layout, one file with everything, into a diffusers pipeline.

The modules are made empty and take the checkpoint's tensors as they are, so that no tensor is held twice and the
processor computes nothing.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import diffusers
import torch
import transformers
from diffusers import AutoencoderKL, DiffusionPipeline, UNet2DConditionModel
from diffusers.loaders.single_file_utils import create_diffusers_clip_model_from_ldm
from transformers import CLIPTokenizer
from transformers.initialization import no_init_weights

from userdata.worker.model.checkpoint_tensors import Tensors

# The token with which each text encoder fills up a text: the token 0 for OpenCLIP, the second one of XL, and the end of
# text for CLIP.
PADDING = {"tokenizer": "<|endoftext|>", "tokenizer_2": "!"}


def load_single_file(
    tensors: Tensors, *, configuration: Path, tokenizer: Path, dtype: torch.dtype, device: torch.device, vae: Any = None
) -> DiffusionPipeline:
    """The model of `tensors`, those of a checkpoint on `device` and of `dtype`.

    `configuration` is a folder of `userdata/models/`, `tokenizer` the one of CLIP, whose words both text encoders of
    XL use. `vae` takes the place of the checkpoint's own. Raises what diffusers raises for a file that does not fit.
    """
    index: dict[str, Any] = json.loads((configuration / "model_index.json").read_text("utf-8"))
    where = {"config": str(configuration), "dtype": dtype, "device": device, "local_files_only": True}
    components: dict[str, Any] = {}
    for name, entry in index.items():
        if not isinstance(entry, list):
            continue
        if name == "vae" and vae is not None:
            components[name] = vae
        elif name in ("unet", "vae"):
            kind = UNet2DConditionModel if name == "unet" else AutoencoderKL
            components[name] = kind.from_single_file(tensors, subfolder=name, **where)
        elif name.startswith("text_encoder"):
            # To draw numbers for weights that have no memory, torch would import sympy, for half a second.
            with no_init_weights():
                encoder = create_diffusers_clip_model_from_ldm(
                    getattr(transformers, entry[1]),
                    checkpoint=tensors,
                    subfolder=name,
                    config=str(configuration),
                    torch_dtype=dtype,
                    local_files_only=True,
                )
            components[name] = encoder.to(device)
        elif name.startswith("tokenizer"):
            components[name] = CLIPTokenizer.from_pretrained(tokenizer, pad_token=PADDING[name])
        elif name == "scheduler":
            kind = getattr(diffusers, entry[1])
            components[name] = kind.from_pretrained(configuration, subfolder=name)
        else:
            components[name] = None
    options = {name: value for name, value in index.items() if not isinstance(value, list) and name[0] != "_"}
    return getattr(diffusers, index["_class_name"])(**components, **options)
