"""The product of few rows with weights in int8, which are read as they are kept: written in Triton.

FLUX.1's modulation, a quarter of its weights, is kept in int8 with every smaller type, and multiplied with one row for
each image. PyTorch's own operations write all its weights out before, and read them again: on an H200 that took 13 ms
of a step of 98 (docs/performance.md).
"""

from __future__ import annotations

import triton
import triton.language as tl
from torch import Tensor, empty

from userdata.worker.model.kept_linear import Int8Linear

# Of a program's piece of the weights: rows, each of which makes a number of the result, and numbers of a row.
ROWS = 16
COLUMNS = 256


@triton.jit
def _product(
    x,
    weight,
    scales,
    bias,
    out,
    width,
    depth,
    BIAS: tl.constexpr,  # noqa: N803
    ROWS: tl.constexpr,  # noqa: N803
    COLUMNS: tl.constexpr,  # noqa: N803
):
    """Each program reads a piece, for a row of `x`. Those of one piece begin together, so that one reads it for all."""
    x += tl.program_id(0) * depth
    row = tl.program_id(1).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    sums = tl.zeros((ROWS, COLUMNS), tl.float32)
    for first in range(0, depth, COLUMNS):
        column = first + tl.arange(0, COLUMNS)
        inside = (row < width)[:, None] & (column < depth)[None, :]
        weights = tl.load(weight + row[:, None] * depth + column[None, :], inside, other=0).to(tl.float32)
        sums += weights * tl.load(x + column, column < depth, other=0.0).to(tl.float32)[None, :]
    made = tl.sum(sums, 1) * tl.load(scales + row, row < width, other=0.0).to(tl.float32)
    if BIAS:
        made += tl.load(bias + row, row < width, other=0.0).to(tl.float32)
    tl.store(out + tl.program_id(0) * width + row, made.to(out.dtype.element_ty), row < width)


def product(x: Tensor, layer: Int8Linear) -> Tensor:
    """What `layer` makes of `x`, n × width."""
    x = x.contiguous()
    rows, depth = x.shape
    width = len(layer.rounded)
    out = empty((rows, width), device=x.device, dtype=x.dtype)
    _product[(rows, triton.cdiv(width, ROWS))](
        x,
        layer.rounded,
        layer.scales,
        layer.scales if layer.bias is None else layer.bias,
        out,
        width,
        depth,
        layer.bias is not None,
        ROWS,
        COLUMNS,
    )
    return out
