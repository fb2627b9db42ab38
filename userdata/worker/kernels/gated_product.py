"""A matrix product of which one half gates the other, in one pass over memory: written in Triton, for Hopper.

A product four times as wide as its input is written and read again only to be gated, at the rate of the memory. Here
both halves of a piece are computed as one product and gated before anything is written. Rejected: the same for older
GPUs, whose loads of pieces Triton does not have the hardware do: there it was slower than the two steps.
"""

from __future__ import annotations

import triton
import triton.language as tl
from torch import Tensor, cuda, empty, float16
from torch.nn import Linear
from triton.tools.tensor_descriptor import TensorDescriptor

HOPPER = 9
# The fastest of some twenty on an H100 and of eighteen on an H200 (docs/performance.md): small pieces, of which several
# share a multiprocessor, so that one is gated while another is multiplied.
ROWS = 128
COLUMNS = 64
DEPTH = 64
STAGES = 2
WARPS = 4
# Pieces one below the other that are computed before the next column of pieces, so that they find weights in the cache.
TOGETHER = 32


@triton.jit
def _erf(x):
    """Abramowitz and Stegun, Handbook of Mathematical Functions, 7.1.26: the error is at most 1.5e-7."""
    size = tl.abs(x)
    t = 1.0 / (1.0 + 0.3275911 * size)
    polynomial = (((1.061405429 * t - 1.453152027) * t + 1.421413741) * t - 0.284496736) * t + 0.254829592
    result = 1.0 - polynomial * t * tl.exp(-size * size)
    return tl.where(x < 0, -result, result)


@triton.jit
def _gated_product(
    x,
    weight,
    bias,
    out,
    rows,
    width,
    depth,
    ROWS: tl.constexpr,  # noqa: N803
    COLUMNS: tl.constexpr,  # noqa: N803
    DEPTH: tl.constexpr,  # noqa: N803
    TOGETHER: tl.constexpr,  # noqa: N803
):
    down, across = tl.cdiv(rows, ROWS), tl.cdiv(width, COLUMNS)
    group = tl.program_id(0) // (TOGETHER * across)
    height = tl.minimum(down - group * TOGETHER, TOGETHER)
    within = tl.program_id(0) % (TOGETHER * across)
    row = (group * TOGETHER + within % height) * ROWS
    column = within // height * COLUMNS
    both = tl.zeros((ROWS, 2 * COLUMNS), tl.float32)
    for at in range(0, depth, DEPTH):
        both = tl.dot(x.load([row, at]), weight.load([0, column, at]).reshape(2 * COLUMNS, DEPTH).T, both)
    values, gates = tl.split(both.reshape(ROWS, 2, COLUMNS).permute(0, 2, 1))
    columns = column + tl.arange(0, COLUMNS)
    inside = columns < width
    values += tl.load(bias + columns, inside, other=0.0).to(tl.float32)[None, :]
    gates += tl.load(bias + width + columns, inside, other=0.0).to(tl.float32)[None, :]
    gated = values * 0.5 * gates * (1.0 + _erf(gates * 0.7071067811865476))
    out.store([row, column], gated.to(tl.float16))


def fits_hopper(x: Tensor) -> bool:
    """Whether `gated_product` can compute with `x`."""
    return x.dtype == float16 and cuda.get_device_capability(x.device)[0] >= HOPPER and x.shape[-1] % 8 == 0


def gated_product(x: Tensor, layer: Linear) -> Tensor:
    """The first half of what `layer` makes of the last dimension of `x` times GELU of the second (arXiv:2002.05202)."""
    rows, depth = x.numel() // x.shape[-1], x.shape[-1]
    width = layer.out_features // 2
    out = empty((*x.shape[:-1], width), device=x.device, dtype=x.dtype)
    pieces = triton.cdiv(rows, ROWS) * triton.cdiv(width, COLUMNS)
    _gated_product[(pieces,)](
        TensorDescriptor.from_tensor(x.contiguous().view(rows, depth), [ROWS, DEPTH]),
        TensorDescriptor.from_tensor(layer.weight.view(2, width, depth), [2, COLUMNS, DEPTH]),
        layer.bias,
        TensorDescriptor.from_tensor(out.view(rows, width), [ROWS, COLUMNS]),
        rows,
        width,
        depth,
        ROWS,
        COLUMNS,
        DEPTH,
        TOGETHER,
        num_stages=STAGES,
        num_warps=WARPS,
    )
    return out
