"""Runs the blocks of Z-Image with fused kernels (`transformer_kernels`).

They compute what diffusers' own blocks compute (transformer_z_image.py of diffusers 0.42.1). A block with an option
that the published models do not have runs as in diffusers.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812  # its usual name
from diffusers.models.transformers.transformer_z_image import ZSingleStreamAttnProcessor
from torch import Tensor

from userdata.worker.kernels.products import product, product_of_gated, read_by
from userdata.worker.kernels.triton_kernels import transformer_kernels


def fits_z_image(block: Any) -> bool:
    """Whether a `ZImageTransformerBlock` has only options that the fused block knows."""
    attention = block.attention
    return (
        type(attention.processor) is ZSingleStreamAttnProcessor
        and attention.norm_q is not None
        and attention.norm_k is not None
        and block.head_dim & (block.head_dim - 1) == 0
    )


def z_image_block(
    block: Any,
    x: Tensor,
    attn_mask: Tensor | None,
    freqs_cis: Tensor | None,
    adaln_input: Tensor | None = None,
    noise_mask: Tensor | None = None,
    *others: Any,
    **options: Any,
) -> Tensor:
    """A `ZImageTransformerBlock`, with modulation by the time or, where texts are refined, without."""
    if freqs_cis is None or noise_mask is not None:
        own: Tensor = type(block).forward(block, x, attn_mask, freqs_cis, adaln_input, noise_mask, *others, **options)
        return own
    kernels, feed_forward = transformer_kernels(), block.feed_forward
    scale = gate = last_scale = last_gate = None
    if block.modulation:
        scale, gate, last_scale, last_gate = block.adaLN_modulation(adaln_input).chunk(4, dim=1)
        gate, last_gate = gate.tanh(), last_gate.tanh()
    attended = _attended(block.attention, kernels.normed(x, block.attention_norm1, scale), attn_mask, freqs_cis)
    x, normed = kernels.summed_and_normed(
        x, attended, gate, block.ffn_norm1, last_scale, added_norm=block.attention_norm2
    )
    read = read_by([feed_forward.w1, feed_forward.w3], normed)
    made = product_of_gated(feed_forward.w2, feed_forward.w1(read), feed_forward.w3(read))
    return kernels.summed(x, made, last_gate, added_norm=block.ffn_norm2)


def _attended(attention: Any, x: Tensor, mask: Tensor | None, freqs_cis: Tensor) -> Tensor:
    # A cosine and a sine for each pair of numbers, beside each other.
    angles = torch.view_as_real(freqs_cis.contiguous()).flatten(2)
    layers = attention.to_q, attention.to_k, attention.to_v
    read = read_by(layers, x)
    queries, keys, values = (layer(read).unflatten(-1, (attention.heads, -1)) for layer in layers)
    kernels = transformer_kernels()
    q, k = (
        kernels.turned([(part, norm)], angles, angles[..., 1:]).transpose(1, 2)
        for part, norm in ((queries, attention.norm_q), (keys, attention.norm_k))
    )
    mask = mask[:, None, None, :] if mask is not None and mask.ndim == 2 else mask
    attended = F.scaled_dot_product_attention(q, k, values.transpose(1, 2), attn_mask=mask)
    return product(attention.to_out[0], attended.transpose(1, 2).flatten(2))
