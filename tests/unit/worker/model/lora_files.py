"""Makes LoRA files for the tests, in the spellings of several trainers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

RANK = 2
# How trainers call a layer, and the two matrices of it.
SPELLINGS: Mapping[str, tuple[Callable[[str, str], str], str, str]] = {
    "PEFT in diffusers": (lambda part, module: f"{part}.{module}", "lora_A.weight", "lora_B.weight"),
    "with an adapter's name": (
        lambda part, module: f"{part}.{module}",
        "lora_A.default.weight",
        "lora_B.default.weight",
    ),
    "PEFT by itself": (
        lambda part, module: f"base_model.model.{'' if part == 'unet' else f'{part}.'}{module}",
        "lora_A.weight",
        "lora_B.weight",
    ),
    "diffusers of 2023": (lambda part, module: f"{part}.{module}", "lora.down.weight", "lora.up.weight"),
    "diffusers' text encoder of 2023": (
        lambda part, module: f"{part}.{module}",
        "lora_linear_layer.down.weight",
        "lora_linear_layer.up.weight",
    ),
    "kohya": (
        lambda part, module: f"lora_{'unet' if part == 'unet' else 'te'}_{module.replace('.', '_')}",
        "lora_down.weight",
        "lora_up.weight",
    ),
}


def linear_layers(pipeline: Any, ending: str = "attn1.to_q") -> list[tuple[str, str]]:
    """Part and module of the U-Net's layers that end so, and of the text encoder's first projections."""
    found = [("unet", name) for name, _ in pipeline.unet.named_modules() if name.endswith(ending)]
    found += [("text_encoder", n) for n, _ in pipeline.text_encoder.named_modules() if n.endswith("fc1")]
    return found


def weight_of(pipeline: Any, layer: tuple[str, str]) -> torch.Tensor:
    part, module = layer
    weight = pipeline.components[part].get_submodule(module).weight
    assert isinstance(weight, torch.Tensor)
    return weight


def save_lora(
    pipeline: Any, file: Path, *, layers: list[tuple[str, str]], spelling: str = "kohya", seed: int = 3
) -> dict[tuple[str, str], torch.Tensor]:
    """Writes a LoRA of `layers`, each with a rank and an alpha of its own; returns the whole change of each weight."""
    layer_name, down_name, up_name = SPELLINGS[spelling]
    generator = torch.Generator().manual_seed(seed)
    tensors: dict[str, torch.Tensor] = {}
    changes = {}
    for number, layer in enumerate(layers):
        weight = weight_of(pipeline, layer).flatten(1)
        rank, alpha = RANK + number % 3, 1.0 + number % 4
        down = torch.randn(rank, weight.shape[1], generator=generator) * 0.1
        up = torch.randn(weight.shape[0], rank, generator=generator) * 0.1
        name = layer_name(*layer)
        tensors |= {f"{name}.{down_name}": down, f"{name}.{up_name}": up, f"{name}.alpha": torch.tensor(alpha)}
        changes[layer] = torch.einsum("or,ri->oi", up, down) * (alpha / rank)
    save_file(tensors, file)
    return changes
