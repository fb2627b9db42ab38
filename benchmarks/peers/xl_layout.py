"""Renames the weights of a diffusers model of Stable Diffusion XL's shape to the names of the original checkpoint."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from benchmarks.original_layout import Weights, original_layout

_EMBEDDING = {"add_embedding.linear_1": "label_emb.0.0", "add_embedding.linear_2": "label_emb.0.2"}
_OPEN_CLIP = {
    "text_model.embeddings.token_embedding": "token_embedding",
    "text_model.embeddings.position_embedding.weight": "positional_embedding",
    "text_model.final_layer_norm": "ln_final",
    "text_model.encoder.layers": "transformer.resblocks",
    "self_attn.out_proj": "attn.out_proj",
    "layer_norm1": "ln_1",
    "layer_norm2": "ln_2",
    "mlp.fc1": "mlp.c_fc",
    "mlp.fc2": "mlp.c_proj",
}


def xl_checkpoint(parts: Mapping[str, Weights]) -> dict[str, torch.Tensor]:
    """One checkpoint with the weights of `parts`, as Stability AI's generative-models saves it."""
    unet = parts["unet"]
    plain = {name: tensor for name, tensor in unet.items() if not name.startswith("add_embedding")}
    checkpoint = original_layout(text_encoder={}, unet=plain, vae=parts["vae"], first_level_attends=False)
    for ours, theirs in _EMBEDDING.items():
        for ending in ("weight", "bias"):
            checkpoint[f"model.diffusion_model.{theirs}.{ending}"] = unet[f"{ours}.{ending}"]
    for name, tensor in parts["text_encoder"].items():
        checkpoint[f"conditioner.embedders.0.transformer.text_model.{name.removeprefix('text_model.')}"] = tensor
    for name, tensor in _open_clip(parts["text_encoder_2"]).items():
        checkpoint[f"conditioner.embedders.1.model.{name}"] = tensor
    return {name: tensor.contiguous() for name, tensor in checkpoint.items()}


def _open_clip(weights: Weights) -> dict[str, torch.Tensor]:
    """Renames the second text encoder's weights to OpenCLIP's names."""
    renamed: dict[str, torch.Tensor] = {}
    for name, tensor in weights.items():
        if "q_proj" in name:
            three = [weights[name.replace("q_proj", f"{one}_proj")] for one in "qkv"]
            ending = name.rsplit(".", 1)[1]
            name, tensor = name.split("self_attn")[0] + f"attn.in_proj_{ending}", torch.cat(three)
        elif "k_proj" in name or "v_proj" in name:
            continue
        elif name == "text_projection.weight":
            name, tensor = "text_projection", tensor.T
        for ours, theirs in _OPEN_CLIP.items():
            name = name.replace(ours, theirs)
        renamed[name] = tensor.contiguous()
    return renamed
