"""The one attention of a decoder, as two products on the tensor cores with a softmax in single precision between them.

It has a single head of 512 numbers, for which PyTorch has a slow kernel alone, made for older GPUs: on an H200 it
computes at a sixth of the rate of the products here.

SDXL's decoder overflows in half precision, so that it decodes in single precision. cuDNN computes its convolutions in
TF32, which has the mantissa of half precision, and so are both products of the attention then.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from diffusers.models.attention_processor import Attention, AttnProcessor2_0
from torch import Tensor

# Of the products of queries and keys that are in memory at once: 128 MiB, and as much for their softmax.
PRODUCTS = 2**25


def fits_decoder_attention(attention: Attention) -> bool:
    """Whether an attention over a decoder's pixels has only the options that `decoder_attention` knows."""
    return (
        type(attention.processor) is AttnProcessor2_0
        and attention.heads == 1
        and attention.group_norm is not None
        and attention.spatial_norm is None
        and attention.norm_q is None
        and attention.norm_k is None
        and attention.residual_connection
        and not attention.norm_cross
        and attention.rescale_output_factor == 1
    )


def decoder_attention(attention: Any, hidden_states: Tensor, *args: Any, **options: Any) -> Tensor:
    """What diffusers' `Attention` makes of `hidden_states`, n × channels × height × width."""
    if args or any(option is not None for option in options.values()) or hidden_states.ndim != 4:
        own: Tensor = type(attention).forward(attention, hidden_states, *args, **options)
        return own
    pixels = attention.group_norm(hidden_states).flatten(2).transpose(1, 2)
    with _tensor_cores():
        queries, keys, values = (layer(pixels) for layer in (attention.to_q, attention.to_k, attention.to_v))
        attended = torch.empty_like(queries)
        at_once = max(1, PRODUCTS // keys.shape[1])
        for image in range(len(pixels)):
            for first in range(0, pixels.shape[1], at_once):
                part = slice(first, first + at_once)
                weights = _in_single_precision(queries[image, part] * attention.scale, keys[image].t()).softmax(dim=-1)
                attended[image, part] = weights.to(values.dtype) @ values[image]
        attended = attention.to_out[0](attended)
    result: Tensor = attended.transpose(1, 2).reshape(hidden_states.shape) + hidden_states
    return result


def _in_single_precision(x: Tensor, y: Tensor) -> Tensor:
    """The product of two matrices, whose type may be a smaller one."""
    if x.is_cuda and x.dtype != torch.float32:
        return torch.mm(x, y, out_dtype=torch.float32)  # which PyTorch has for GPUs alone
    return x.float() @ y.float()


@contextmanager
def _tensor_cores() -> Iterator[None]:
    """While this is open, products of single precision are computed in TF32, where a card can."""
    products = torch.backends.cuda.matmul
    before = products.fp32_precision
    products.fp32_precision = "tf32"
    try:
        yield
    finally:
        products.fp32_precision = before
