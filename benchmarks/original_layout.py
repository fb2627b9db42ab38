"""Renames the weights of a diffusers model of SD v1's shape to the names of the original checkpoint."""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch

Weights = Mapping[str, torch.Tensor]

LEVELS = range(4)
_UNET = {
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "conv_in": "input_blocks.0.0",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
    "mid_block.attentions.0": "middle_block.1",
    "mid_block.resnets.0": "middle_block.0",
    "mid_block.resnets.1": "middle_block.2",
    **{f"down_blocks.{i}.resnets.{j}": f"input_blocks.{3 * i + j + 1}.0" for i in LEVELS for j in range(2)},
    **{f"down_blocks.{i}.attentions.{j}": f"input_blocks.{3 * i + j + 1}.1" for i in LEVELS for j in range(2)},
    **{f"down_blocks.{i}.downsamplers.0.conv": f"input_blocks.{3 * i + 3}.0.op" for i in LEVELS},
    **{f"up_blocks.{i}.resnets.{j}": f"output_blocks.{3 * i + j}.0" for i in LEVELS for j in range(3)},
    **{f"up_blocks.{i}.attentions.{j}": f"output_blocks.{3 * i + j}.1" for i in LEVELS for j in range(3)},
    **{f"up_blocks.{i}.upsamplers.0": f"output_blocks.{3 * i + 2}.{1 if i == 0 else 2}" for i in LEVELS},
}
_UNET_RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "time_emb_proj": "emb_layers.1",
    "conv_shortcut": "skip_connection",
}
_VAE = {
    "conv_norm_out": "norm_out",
    "mid_block.attentions.0": "mid.attn_1",
    "mid_block.resnets.0": "mid.block_1",
    "mid_block.resnets.1": "mid.block_2",
    **{f"down_blocks.{i}.resnets.{j}": f"down.{i}.block.{j}" for i in LEVELS for j in range(2)},
    **{f"down_blocks.{i}.downsamplers.0": f"down.{i}.downsample" for i in LEVELS},
    **{f"up_blocks.{i}.resnets.{j}": f"up.{3 - i}.block.{j}" for i in LEVELS for j in range(3)},
    **{f"up_blocks.{i}.upsamplers.0": f"up.{3 - i}.upsample" for i in LEVELS},
}
_VAE_INNER = {
    "conv_shortcut": "nin_shortcut",
    "group_norm": "norm",
    "to_q": "q",
    "to_k": "k",
    "to_v": "v",
    "to_out.0": "proj_out",
}


def original_layout(
    *, text_encoder: Weights, unet: Weights, vae: Weights, first_level_attends: bool = True
) -> dict[str, torch.Tensor]:
    """One checkpoint, as CompVis/stable-diffusion saves it.

    `first_level_attends` says that the deepest level has no attention and the others have, as in v1; in XL it is the
    other way round.
    """
    checkpoint = {f"cond_stage_model.transformer.text_model.{name}": value for name, value in text_encoder.items()}
    for name, value in unet.items():
        if not first_level_attends:
            name = name.replace("up_blocks.0.upsamplers.0", "output_blocks.2.2")
        checkpoint[f"model.diffusion_model.{_of_unet(name)}"] = value
    for name, value in vae.items():
        attention_matrix = "attentions" in name and value.ndim == 2
        checkpoint[f"first_stage_model.{_of_vae(name)}"] = value[:, :, None, None] if attention_matrix else value
    return {name: value.contiguous() for name, value in checkpoint.items()}


def _of_unet(name: str) -> str:
    if "resnets" in name:
        name = _replace(name, _UNET_RESNET)
    return _replace(name, _UNET, at_start=True)


def _of_vae(name: str) -> str:
    half, dot, rest = name.partition(".")
    return half + dot + _replace(_replace(rest, _VAE, at_start=True), _VAE_INNER)


def _replace(name: str, names: Mapping[str, str], *, at_start: bool = False) -> str:
    for ours, theirs in names.items():
        pattern = rf"{'^' if at_start else r'(?<=[.])'}{re.escape(ours)}(?=[.])"
        if re.search(pattern, name):
            return re.sub(pattern, theirs, name)
    return name
