"""What the blocks of FLUX.1, FLUX.2 and Chroma have in common, with fused kernels (`transformer_kernels`)."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812  # its usual name
from torch import Tensor, nn

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
    normed = kernels.normed(image, norms[0], of_image[1], of_image[0])
    normed_text = kernels.normed(text, norms[1], of_text[1], of_text[0])
    of_images = [heads(layer(normed), attention) for layer in _image_products(attention)]
    text_products = attention.add_q_proj, attention.add_k_proj, attention.add_v_proj
    of_texts = [heads(layer(normed_text), attention) for layer in text_products]
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
            text, attention.to_add_out(attended_to[:, :tokens]), block.norm2_context, block.ff_context, of_text
        ),
        _fed_forward(image, attention.to_out[0](attended_to[:, tokens:]), block.norm2, block.ff, of_image),
    )


def single_block(block: Any, x: Tensor, modulation: list[Tensor], rotary: Rotary, mask: Tensor | None = None) -> Tensor:
    """Attention and feed-forward beside each other, for texts and images together; `mask` is added before the softmax.

    `modulation` is shift, scale and gate.
    """
    kernels, attention = transformer_kernels(), block.attn
    shift, scale, gate = modulation
    normed = kernels.normed(x, block.norm.norm, scale, shift)
    queries, keys, values = (heads(layer(normed), attention) for layer in _image_products(attention))
    attended_to = attended([(queries, attention.norm_q)], [(keys, attention.norm_k)], values, rotary, mask)
    widened = _gelu_product(block.proj_mlp, normed)
    summed: Tensor = kernels.summed(x, product_of_two(block.proj_out, attended_to, widened), gate)
    return summed


def _fed_forward(
    x: Tensor, attended: Tensor, norm: nn.LayerNorm, feed_forward: Any, modulation: list[Tensor]
) -> Tensor:
    kernels = transformer_kernels()
    _, _, gate, shift, scale, last_gate = modulation
    x, normed = kernels.summed_and_normed(x, attended, gate, norm, scale, shift)
    if hasattr(feed_forward, "linear_in"):  # FLUX.2
        gates, widened = feed_forward.linear_in(normed).chunk(2, dim=-1)
        product = feed_forward.linear_out(kernels.gated(gates, widened))
    else:
        product = feed_forward.net[2](_gelu_product(feed_forward.net[0].proj, normed))
    return kernels.summed(x, product, last_gate)


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


def _image_products(attention: Any) -> tuple[nn.Module, nn.Module, nn.Module]:
    return attention.to_q, attention.to_k, attention.to_v


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


def _gelu_product(layer: nn.Linear, x: Tensor) -> Tensor:
    """GELU, by its approximation with tanh, of what `layer` makes of `x`: cuBLAS computes it before it writes."""
    if x.is_cuda and _is_plain(layer) and layer.bias is not None:
        rows = torch._addmm_activation(layer.bias, x.flatten(0, 1), layer.weight.t(), use_gelu=True)
        return rows.view(*x.shape[:2], -1)
    return F.gelu(layer(x), approximate="tanh")


def product_of_two(layer: nn.Linear, first: Tensor, second: Tensor) -> Tensor:
    """What `layer` makes of the columns of `first` and then of `second`, which are not copied beside each other."""
    if not _is_plain(layer):
        joined: Tensor = layer(torch.cat([first, second], dim=-1))
        return joined
    own = first.shape[-1]
    product = F.linear(first, layer.weight[:, :own], layer.bias)
    product.flatten(0, 1).addmm_(second.flatten(0, 1), layer.weight[:, own:].t())
    return product


def _is_plain(layer: nn.Linear) -> bool:
    """Whether the weights are numbers, and not, for instance, quantized."""
    return type(layer) is nn.Linear and type(layer.weight) is nn.Parameter
