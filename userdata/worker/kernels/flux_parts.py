"""What the blocks of FLUX.1, FLUX.2 and Chroma have in common, with fused kernels (`transformer_kernels`)."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812  # its usual name
from torch import Tensor, nn

from userdata.worker.kernels.products import product, product_of_gated, product_of_gelu, read_by
from userdata.worker.kernels.triton_kernels import transformer_kernels

Rotary = tuple[Tensor, Tensor]


def double_block(
    block: Any,
    image: Tensor,
    text: Tensor,
    of_image: list[Tensor],
    of_text: list[Tensor],
    norms: tuple[nn.LayerNorm, nn.LayerNorm],
    rotary: Rotary,
    mask: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Texts and images have weights of their own, and attend to each other; `mask` is added before the softmax.

    `of_image` and `of_text` are shift, scale and gate of the attention, and those of the feed-forward.
    """
    kernels, attention = transformer_kernels(), block.attn
    layers = attention.to_q, attention.to_k, attention.to_v
    normed = read_by(layers, kernels.normed(image, norms[0], of_image[1], of_image[0]))
    of_images = [heads(layer(normed), attention) for layer in layers]
    layers = attention.add_q_proj, attention.add_k_proj, attention.add_v_proj
    normed = read_by(layers, kernels.normed(text, norms[1], of_text[1], of_text[0]))
    of_texts = [heads(layer(normed), attention) for layer in layers]
    attended_to = attended(
        [(of_texts[0], attention.norm_added_q), (of_images[0], attention.norm_q)],
        [(of_texts[1], attention.norm_added_k), (of_images[1], attention.norm_k)],
        torch.cat([of_texts[2], of_images[2]], dim=1),
        rotary,
        mask,
    )
    tokens = text.shape[1]
    return (
        _fed_forward(
            text, product(attention.to_add_out, attended_to[:, :tokens]), block.norm2_context, block.ff_context, of_text
        ),
        _fed_forward(image, product(attention.to_out[0], attended_to[:, tokens:]), block.norm2, block.ff, of_image),
    )


def single_block(block: Any, x: Tensor, modulation: list[Tensor], rotary: Rotary, mask: Tensor | None = None) -> Tensor:
    """Attention and feed-forward beside each other, for texts and images together; `mask` is added before the softmax.

    `modulation` is shift, scale and gate.
    """
    kernels, attention = transformer_kernels(), block.attn
    shift, scale, gate = modulation
    layers = attention.to_q, attention.to_k, attention.to_v
    normed = read_by([*layers, block.proj_mlp], kernels.normed(x, block.norm.norm, scale, shift))
    queries, keys, values = (heads(layer(normed), attention) for layer in layers)
    attended_to = attended([(queries, attention.norm_q)], [(keys, attention.norm_k)], values, rotary, mask)
    made = product_of_gelu(block.proj_mlp, block.proj_out, normed, beside=attended_to)
    return kernels.summed(x, made, gate)


def _fed_forward(
    x: Tensor, attended: Tensor, norm: nn.LayerNorm, feed_forward: Any, modulation: list[Tensor]
) -> Tensor:
    kernels = transformer_kernels()
    _, _, gate, shift, scale, last_gate = modulation
    x, normed = kernels.summed_and_normed(x, attended, gate, norm, scale, shift)
    if hasattr(feed_forward, "linear_in"):  # FLUX.2
        gates, widened = product(feed_forward.linear_in, normed).chunk(2, dim=-1)
        made = product_of_gated(feed_forward.linear_out, gates, widened)
    else:
        widening, narrowing = feed_forward.net[0].proj, feed_forward.net[2]
        made = product_of_gelu(widening, narrowing, read_by([widening], normed))
    return kernels.summed(x, made, last_gate)


def attended(
    queries: list[tuple[Tensor, Any]],
    keys: list[tuple[Tensor, Any]],
    values: Tensor,
    rotary: Rotary,
    mask: Tensor | None = None,
) -> Tensor:
    """What tokens with these `queries` and `keys`, each with its normalisation, take of `values`."""
    kernels = transformer_kernels()
    q, k = (kernels.turned(parts, *rotary).transpose(1, 2) for parts in (queries, keys))
    return F.scaled_dot_product_attention(q, k, values.transpose(1, 2), attn_mask=mask).transpose(1, 2).flatten(2)


def heads(x: Tensor, attention: Any) -> Tensor:
    """The numbers of each token by heads: n × tokens × heads × width."""
    return x.view(*x.shape[:2], -1, attention.head_dim)


def in_one(text: Tensor, image: Tensor) -> Tensor:
    """Both one after the other: without a copy where the block before has returned two parts of one tensor."""
    whole = text._base
    tokens = text.shape[1] + image.shape[1]
    beside = whole is not None and whole is image._base and whole.data_ptr() == text.data_ptr()
    if whole is not None and beside and whole.shape == (len(image), tokens, image.shape[2]):
        return whole
    return torch.cat([text, image], dim=1)
