"""The one attention of a decoder that works in single precision, with the tensor cores that its convolutions use.

SDXL's decoder overflows in half precision, so that it decodes in single precision. cuDNN computes its convolutions in
TF32, which has the mantissa of half precision; PyTorch's attention does not, and took 17 of 54 ms of an image on an
H200. Here both products of the attention are computed in TF32, too, and the weights between them in single precision.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from diffusers.models.attention_processor import Attention, AttnProcessor2_0
from torch import Tensor

# Of the products of queries and keys that are in memory at once: 256 MiB.
PRODUCTS = 2**26


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
    other = args or any(option is not None for option in options.values())
    if other or hidden_states.dtype != torch.float32 or hidden_states.ndim != 4:
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
                weights = (queries[image, part] * attention.scale) @ keys[image].t()
                attended[image, part] = weights.softmax(dim=-1) @ values[image]
        attended = attention.to_out[0](attended)
    result: Tensor = attended.transpose(1, 2).reshape(hidden_states.shape) + hidden_states
    return result


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
