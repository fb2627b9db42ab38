"""The states of a transformer in fp8, in one pass over memory: written in Triton.

PyTorch's own operations find the scale of each token in passes of their own: on an H200 these took longer than products
in fp8 save (docs/performance.md).
"""

from __future__ import annotations

import triton
import triton.language as tl
from torch import Tensor, empty, float8_e4m3fn, float32

from userdata.worker.model.kept_linear import LARGEST_IN_FP8, LEAST, InFp8

WARPS = 8
# What is done to numbers before: nothing, GELU by its approximation with tanh (arXiv:1606.08415), or gates by SiLU
# (arXiv:2002.05202).
AS_THEY_ARE, GELU, GATED = 0, 1, 2


@triton.jit
def _in_fp8(
    beside,
    x,
    gates,
    out,
    scales,
    first,
    width,
    beside_stride,
    stride,
    gates_stride,
    least,
    largest,
    BESIDE: tl.constexpr,  # noqa: N803
    KIND: tl.constexpr,  # noqa: N803
    WIDTH: tl.constexpr,  # noqa: N803
):
    """The first numbers of a row are those of `beside`, and the others come from `x`."""
    row = tl.program_id(0).to(tl.int64)
    column = tl.arange(0, WIDTH)
    valid = (column >= first) & (column < width)
    values = tl.load(x + row * stride + column - first, valid, other=0.0).to(tl.float32)
    if KIND == 1:
        # GELU is x times the logistic function of twice the argument of its tanh.
        values = values / (1.0 + tl.exp(-1.5957691216057308 * (values + 0.044715 * values * values * values)))
    if KIND == 2:
        gate = tl.load(gates + row * gates_stride + column - first, valid, other=0.0).to(tl.float32)
        values = values * gate / (1.0 + tl.exp(-gate))
    if BESIDE:
        values += tl.load(beside + row * beside_stride + column, column < first, other=0.0).to(tl.float32)
    scale = tl.maximum(tl.max(tl.abs(values), 0), least) / largest
    tl.store(scales + row, scale)
    values = tl.minimum(tl.maximum(values / scale, -largest), largest)
    tl.store(out + row * width + column, values.to(out.dtype.element_ty), column < width)


def in_fp8(x: Tensor, *, gelu: bool = False, gates: Tensor | None = None, beside: Tensor | None = None) -> InFp8:
    """Rows in fp8, as `userdata.worker.model.kept_linear.in_fp8` makes them, in one pass.

    They hold `beside`, and then `x`, or GELU of `x`, or `x` times SiLU of `gates`: n × tokens × width each, rows of
    which may be parts of longer ones.
    """
    count, tokens, width = x.shape
    first = 0 if beside is None else beside.shape[-1]
    out = empty((count, tokens, first + width), device=x.device, dtype=float8_e4m3fn)
    scales = empty((count, tokens, 1), device=x.device, dtype=float32)
    rows, other_rows, gate_rows = (x if one is None else one.flatten(0, 1) for one in (x, beside, gates))
    _in_fp8[(count * tokens,)](
        other_rows,
        rows,
        gate_rows,
        out,
        scales,
        first,
        first + width,
        other_rows.stride(0),
        rows.stride(0),
        gate_rows.stride(0),
        LEAST,
        LARGEST_IN_FP8,
        beside is not None,
        GELU if gelu else AS_THEY_ARE if gates is None else GATED,
        triton.next_power_of_2(first + width),
        num_warps=WARPS,
    )
    return InFp8(out, scales)
