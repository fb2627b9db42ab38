"""The networks of a layout without their weights, to see what would fit them."""

from __future__ import annotations

import json
from typing import Any

import diffusers
import torch
import transformers

from userdata.contract.bundle import BUNDLE

NETWORKS = ("unet", "transformer", "text_encoder", "text_encoder_2")


def empty_networks(layout: str) -> dict[str, Any]:
    """What a LoRA may change of a model with the configuration `userdata/models/<layout>/`, on the device `meta`."""
    folder = BUNDLE.models / layout
    index = json.loads((folder / "model_index.json").read_text("utf-8"))
    networks: dict[str, Any] = {}
    with torch.device("meta"):
        for name in (name for name in NETWORKS if name in index):
            library, kind = index[name]
            if library == "diffusers":
                cls = getattr(diffusers, kind)
                networks[name] = cls.from_config(cls.load_config(folder / name))
            else:
                cls = getattr(transformers, kind)
                networks[name] = cls(cls.config_class.from_pretrained(folder / name))
    return networks
