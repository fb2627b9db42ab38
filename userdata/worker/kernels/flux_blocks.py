"""Runs the blocks of FLUX.1, Chroma and FLUX.2 with fused kernels (`transformer_kernels`).

They compute what diffusers' own blocks compute (transformer_flux.py, transformer_chroma.py and transformer_flux2.py of
diffusers 0.42.1). A block with an option that the published models do not have runs as in diffusers.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from inspect import signature
from typing import Any

import torch
from diffusers.models.transformers.transformer_flux import FluxAttnProcessor
from diffusers.models.transformers.transformer_flux2 import Flux2AttnProcessor, Flux2ParallelSelfAttnProcessor
from torch import Tensor

from userdata.worker.kernels.flux_parts import (
    Rotary,
    attended,
    double_block,
    heads,
    in_one,
    single_block,
)
from userdata.worker.kernels.products import product, product_of_gated, product_of_rows
from userdata.worker.kernels.triton_kernels import transformer_kernels


def fits_flux(block: Any) -> bool:
    """Whether a block, of any of these models and of either kind, has only options that the fused blocks know."""
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
        by_token = any(one.ndim == 3 and one.shape[1] > 1 for name, one in given.items() if name.startswith("temb_mod"))
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
    return double_block(block, hidden_states, encoder_hidden_states, of_image, of_text, norms, image_rotary_emb)


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
    return double_block(block, hidden_states, encoder_hidden_states, of_image, of_text, norms, image_rotary_emb)


@_or_own
def chroma_block(
    block: Any,
    hidden_states: Tensor,
    encoder_hidden_states: Tensor,
    temb: Tensor,
    image_rotary_emb: Rotary,
    attention_mask: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """A `ChromaTransformerBlock`: FLUX.1's, which gets its modulation, n × 12 × width, and a mask of tokens."""
    modulation, norms = list(temb.unbind(1)), (block.norm1.norm, block.norm1_context.norm)
    return double_block(
        block,
        hidden_states,
        encoder_hidden_states,
        modulation[:6],
        modulation[6:],
        norms,
        image_rotary_emb,
        _of_pairs(attention_mask),
    )


@_or_own
def flux_single_block(
    block: Any, hidden_states: Tensor, encoder_hidden_states: Tensor, temb: Tensor, image_rotary_emb: Rotary
) -> tuple[Tensor, Tensor]:
    """A `FluxSingleTransformerBlock`: attention and feed-forward beside each other, for texts and images together."""
    x = in_one(encoder_hidden_states, hidden_states)
    x = single_block(block, x, _chunks(block.norm, temb, 3), image_rotary_emb)
    text = encoder_hidden_states.shape[1]
    return x[:, :text], x[:, text:]


@_or_own
def chroma_single_block(
    block: Any,
    hidden_states: Tensor,
    temb: Tensor,
    image_rotary_emb: Rotary,
    attention_mask: Tensor | None = None,
) -> Tensor:
    """A `ChromaSingleTransformerBlock`: FLUX.1's for texts and images that are one tensor already."""
    return single_block(block, hidden_states, list(temb.unbind(1)), image_rotary_emb, _of_pairs(attention_mask))


@_or_own
def flux2_single_block(block: Any, hidden_states: Tensor, temb_mod: Tensor, image_rotary_emb: Rotary) -> Tensor:
    """A `Flux2SingleTransformerBlock`: one product makes queries, keys, values, gates and what is gated."""
    kernels, attention, x = transformer_kernels(), block.attn, hidden_states
    shift, scale, gate = temb_mod.flatten(1).chunk(3, dim=1)
    made = product(attention.to_qkv_mlp_proj, kernels.normed(x, block.norm, scale, shift))
    inner, hidden = attention.inner_dim, attention.mlp_hidden_dim
    queries, keys, values, gates, widened = torch.split(made, [inner, inner, inner, hidden, hidden], dim=-1)
    attended_to = attended(
        [(heads(queries, attention), attention.norm_q)],
        [(heads(keys, attention), attention.norm_k)],
        heads(values, attention),
        image_rotary_emb,
    )
    return kernels.summed(x, product_of_gated(attention.to_out, gates, widened, beside=attended_to), gate)


def _chunks(norm: Any, temb: Tensor, count: int) -> list[Tensor]:
    return list(product_of_rows(norm.linear, norm.silu(temb)).chunk(count, dim=1))


def _of_pairs(mask: Tensor | None) -> Tensor | None:
    """For each query and key what diffusers makes of a mask of tokens, for all heads."""
    return None if mask is None else mask[:, None, None, :] * mask[:, None, :, None]
