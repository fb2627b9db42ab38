"""Runs the blocks of FLUX.1 and FLUX.2 with fused kernels (`transformer_kernels`).

The blocks compute what diffusers' own blocks compute (transformer_flux.py and transformer_flux2.py of diffusers
0.42.1). A block with an option that the published models do not have runs as in diffusers.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from inspect import signature
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812  # its usual name
from diffusers.models.transformers.transformer_flux import FluxAttnProcessor
from diffusers.models.transformers.transformer_flux2 import Flux2AttnProcessor, Flux2ParallelSelfAttnProcessor
from torch import Tensor, nn

from userdata.worker.kernels.triton_kernels import transformer_kernels

Rotary = tuple[Tensor, Tensor]


def fits_flux(block: Any) -> bool:
    """Whether a block, of either model and of either kind, has only options that the fused blocks know."""
    attention = block.attn
    return (
        type(attention.processor) in (FluxAttnProcessor, Flux2AttnProcessor, Flux2ParallelSelfAttnProcessor)
        and not getattr(attention, "fused_projections", False)
        and attention.head_dim & (attention.head_dim - 1) == 0
        and attention.norm_q.weight is not None
    )


def _or_own(fused: Callable[..., Any]) -> Callable[..., Any]:
    """The `forward` of a block: `fused`, or diffusers' own where a call asks for more than `fused` knows.

    diffusers' transformers give everything by name.
    """
    known = set(signature(fused).parameters)

    @wraps(fused)
    def forward(block: Any, **given: Any) -> Any:
        others = [value for name, value in given.items() if name not in known]
        by_token = any(one.ndim == 3 and one.shape[1] > 1 for name, one in given.items() if name.startswith("temb"))
        asks_more = by_token or any(isinstance(value, Tensor) or value for value in others)
        # In half precision diffusers' blocks cut off what is too large.
        if asks_more or given.get("image_rotary_emb") is None or given["hidden_states"].dtype == torch.float16:
            return type(block).forward(block, **given)
        return fused(block, **{name: value for name, value in given.items() if name in known})

    return forward


@_or_own
def flux_block(
    block: Any, hidden_states: Tensor, encoder_hidden_states: Tensor, temb: Tensor, image_rotary_emb: Rotary
) -> tuple[Tensor, Tensor]:
    """A `FluxTransformerBlock`: texts and images have weights of their own, and attend to each other."""
    of_image = _chunks(block.norm1, temb, 6)
    of_text = _chunks(block.norm1_context, temb, 6)
    norms = block.norm1.norm, block.norm1_context.norm
    return _double_block(block, hidden_states, encoder_hidden_states, of_image, of_text, norms, image_rotary_emb)


@_or_own
def flux2_block(
    block: Any,
    hidden_states: Tensor,
    encoder_hidden_states: Tensor,
    temb_mod_img: Tensor,
    temb_mod_txt: Tensor,
    image_rotary_emb: Rotary,
) -> tuple[Tensor, Tensor]:
    """A `Flux2TransformerBlock`, which gets its modulation, because all blocks share one."""
    of_image, of_text = (list(mod.flatten(1).chunk(6, dim=1)) for mod in (temb_mod_img, temb_mod_txt))
    norms = block.norm1, block.norm1_context
    return _double_block(block, hidden_states, encoder_hidden_states, of_image, of_text, norms, image_rotary_emb)


@_or_own
def flux_single_block(
    block: Any, hidden_states: Tensor, encoder_hidden_states: Tensor, temb: Tensor, image_rotary_emb: Rotary
) -> tuple[Tensor, Tensor]:
    """A `FluxSingleTransformerBlock`: attention and feed-forward beside each other, for texts and images together."""
    kernels, attention = transformer_kernels(), block.attn
    x = _in_one(encoder_hidden_states, hidden_states)
    shift, scale, gate = _chunks(block.norm, temb, 3)
    normed = kernels.normed(x, block.norm.norm, scale, shift)
    queries, keys, values = (_heads(layer(normed), attention) for layer in _image_products(attention))
    attended = _attended([(queries, attention.norm_q)], [(keys, attention.norm_k)], values, image_rotary_emb)
    widened = _gelu_product(block.proj_mlp, normed)
    x = kernels.summed(x, _product_of_two(block.proj_out, attended, widened), gate)
    text = encoder_hidden_states.shape[1]
    return x[:, :text], x[:, text:]


@_or_own
def flux2_single_block(block: Any, hidden_states: Tensor, temb_mod: Tensor, image_rotary_emb: Rotary) -> Tensor:
    """A `Flux2SingleTransformerBlock`: one product makes queries, keys, values, gates and what is gated."""
    kernels, attention, x = transformer_kernels(), block.attn, hidden_states
    shift, scale, gate = temb_mod.flatten(1).chunk(3, dim=1)
    product = attention.to_qkv_mlp_proj(kernels.normed(x, block.norm, scale, shift))
    inner, hidden = attention.inner_dim, attention.mlp_hidden_dim
    queries, keys, values, gates, widened = product.split([inner, inner, inner, hidden, hidden], dim=-1)
    attended = _attended(
        [(_heads(queries, attention), attention.norm_q)],
        [(_heads(keys, attention), attention.norm_k)],
        _heads(values, attention),
        image_rotary_emb,
    )
    summed: Tensor = kernels.summed(x, _product_of_two(attention.to_out, attended, kernels.gated(gates, widened)), gate)
    return summed


def _double_block(
    block: Any,
    image: Tensor,
    text: Tensor,
    of_image: list[Tensor],
    of_text: list[Tensor],
    norms: tuple[nn.LayerNorm, nn.LayerNorm],
    rotary: Rotary,
) -> tuple[Tensor, Tensor]:
    """`of_image` and `of_text` are shift, scale and gate of the attention, and those of the feed-forward."""
    kernels, attention = transformer_kernels(), block.attn
    normed = kernels.normed(image, norms[0], of_image[1], of_image[0])
    normed_text = kernels.normed(text, norms[1], of_text[1], of_text[0])
    of_images = [_heads(layer(normed), attention) for layer in _image_products(attention)]
    text_products = attention.add_q_proj, attention.add_k_proj, attention.add_v_proj
    of_texts = [_heads(layer(normed_text), attention) for layer in text_products]
    attended = _attended(
        [(of_texts[0], attention.norm_added_q), (of_images[0], attention.norm_q)],
        [(of_texts[1], attention.norm_added_k), (of_images[1], attention.norm_k)],
        torch.cat([of_texts[2], of_images[2]], dim=1),
        rotary,
    )
    tokens = text.shape[1]
    return (
        _fed_forward(text, attention.to_add_out(attended[:, :tokens]), block.norm2_context, block.ff_context, of_text),
        _fed_forward(image, attention.to_out[0](attended[:, tokens:]), block.norm2, block.ff, of_image),
    )


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


def _attended(
    queries: list[tuple[Tensor, Any]], keys: list[tuple[Tensor, Any]], values: Tensor, rotary: Rotary
) -> Tensor:
    kernels = transformer_kernels()
    q, k = (kernels.turned(parts, *rotary).transpose(1, 2) for parts in (queries, keys))
    return F.scaled_dot_product_attention(q, k, values.transpose(1, 2)).transpose(1, 2).flatten(2)


def _image_products(attention: Any) -> tuple[nn.Module, nn.Module, nn.Module]:
    return attention.to_q, attention.to_k, attention.to_v


def _heads(x: Tensor, attention: Any) -> Tensor:
    return x.view(*x.shape[:2], -1, attention.head_dim)


def _chunks(norm: Any, temb: Tensor, count: int) -> list[Tensor]:
    return list(norm.linear(norm.silu(temb)).chunk(count, dim=1))


def _in_one(text: Tensor, image: Tensor) -> Tensor:
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


def _product_of_two(layer: nn.Linear, first: Tensor, second: Tensor) -> Tensor:
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
