"""A transformer's small operations as a few passes over memory: written in Triton.

Between its products and its attention, a block of FLUX or Z-Image normalises, scales, shifts, turns and adds rows of
some three thousand numbers. As PyTorch's own operations each of these is a pass over memory, in FLUX.1 39 % of a step
on an H200 (docs/performance.md). Rejected: `torch.compile` of the repeated blocks, which leaves more passes, and takes
half a minute for each new batch where these kernels take seconds to compile and one to load.

All kernels compute in single precision and round once, where PyTorch rounds after each operation.
"""

from __future__ import annotations

from typing import Any

import triton
import triton.language as tl
from torch import Tensor, empty, empty_like
from torch.nn import LayerNorm

# Numbers of a row that a program gates at once.
PIECE = 1024
WARPS = 8
# What is done to a row: nothing, a layer normalisation (arXiv:1607.06450), or one by the root of the mean square
# (arXiv:1910.07467).
NONE, LAYER, ROOT = 0, 1, 2


@triton.jit
def _root_normed(values, weight, column, valid, width, eps, WEIGHT: tl.constexpr):  # noqa: N803
    values = values / tl.sqrt(tl.sum(values * values, 0) / width + eps)
    if WEIGHT:
        values = values * tl.load(weight + column, valid, other=0.0).to(tl.float32)
    return values


@triton.jit
def _modulated(
    x,
    added,
    added_weight,
    gate,
    weight,
    scale,
    shift,
    total,
    normed,
    tokens,
    width,
    gate_stride,
    scale_stride,
    shift_stride,
    eps,
    added_eps,
    ADDED: tl.constexpr,  # noqa: N803
    ADDED_NORM: tl.constexpr,  # noqa: N803
    GATE: tl.constexpr,  # noqa: N803
    NORM: tl.constexpr,  # noqa: N803
    WEIGHT: tl.constexpr,  # noqa: N803
    SCALE: tl.constexpr,  # noqa: N803
    SHIFT: tl.constexpr,  # noqa: N803
    WIDTH: tl.constexpr,  # noqa: N803
):
    row = tl.program_id(0).to(tl.int64)
    image = row // tokens
    column = tl.arange(0, WIDTH)
    valid = column < width
    values = tl.load(x + row * width + column, valid, other=0.0).to(tl.float32)
    if ADDED:
        more = tl.load(added + row * width + column, valid, other=0.0).to(tl.float32)
        if ADDED_NORM:
            more = _root_normed(more, added_weight, column, valid, width, added_eps, True)
        if GATE:
            more = more * tl.load(gate + image * gate_stride + column, valid, other=0.0).to(tl.float32)
        values += more
        tl.store(total + row * width + column, values.to(total.dtype.element_ty), valid)
    if NORM:
        if NORM == 1:
            distance = tl.where(valid, values - tl.sum(values, 0) / width, 0.0)
            values = _root_normed(distance, weight, column, valid, width, eps, WEIGHT)
        else:
            values = _root_normed(values, weight, column, valid, width, eps, WEIGHT)
        if SCALE:
            values *= 1.0 + tl.load(scale + image * scale_stride + column, valid, other=0.0).to(tl.float32)
        if SHIFT:
            values += tl.load(shift + image * shift_stride + column, valid, other=0.0).to(tl.float32)
        tl.store(normed + row * width + column, values.to(normed.dtype.element_ty), valid)


@triton.jit
def _turned(
    x,
    weight,
    cosines,
    sines,
    out,
    tokens,
    all_tokens,
    first,
    heads,
    image_stride,
    token_stride,
    angle_stride,
    eps,
    HEADS: tl.constexpr,  # noqa: N803
    WIDTH: tl.constexpr,  # noqa: N803
):
    """A program takes all heads of a token."""
    row = tl.program_id(0).to(tl.int64)
    image, token = row // tokens, first + row % tokens
    x += image * image_stride + row % tokens * token_stride
    column = tl.arange(0, WIDTH)
    head = tl.arange(0, HEADS)
    inside = (head[:, None] < heads) & (column[None, :] < WIDTH)
    at = head[:, None] * WIDTH + column[None, :]
    values = tl.load(x + at, inside, other=0.0).to(tl.float32)
    values = values / tl.sqrt(tl.sum(values * values, 1) / WIDTH + eps)[:, None]
    values = values * tl.load(weight + column).to(tl.float32)[None, :]
    even, odd = tl.split(tl.reshape(values, (HEADS, WIDTH // 2, 2)))
    pair = image * angle_stride + token * WIDTH + 2 * tl.arange(0, WIDTH // 2)
    cosine = tl.load(cosines + pair)[None, :]
    sine = tl.load(sines + pair)[None, :]
    turned = tl.join(even * cosine - odd * sine, odd * cosine + even * sine)
    turned = tl.reshape(turned, (HEADS, WIDTH))
    out += (image * all_tokens + token) * heads * WIDTH
    tl.store(out + at, turned.to(out.dtype.element_ty), inside)


@triton.jit
def _gated(gates, values, out, width, gates_stride, values_stride, PIECE: tl.constexpr):  # noqa: N803
    row = tl.program_id(0).to(tl.int64)
    column = tl.program_id(1) * PIECE + tl.arange(0, PIECE)
    valid = column < width
    gate = tl.load(gates + row * gates_stride + column, valid, other=0.0).to(tl.float32)
    value = tl.load(values + row * values_stride + column, valid, other=0.0).to(tl.float32)
    value = value * gate / (1.0 + tl.exp(-gate))
    tl.store(out + row * width + column, value.to(out.dtype.element_ty), valid)


def normed(x: Tensor, norm: Any, scale: Tensor | None = None, shift: Tensor | None = None) -> Tensor:
    """`norm` of the rows of `x`, n × tokens × width, times 1 + `scale`, plus `shift`, both n × width (adaLN).

    `norm` is a `LayerNorm` without weights, or a normalisation by the root of the mean square.
    """
    x = x.contiguous()
    out = empty_like(x)
    _launch(x, norm=norm, scale=scale, shift=shift, normed=out)
    return out


def summed(x: Tensor, added: Tensor, gate: Tensor | None, *, added_norm: Any = None) -> Tensor:
    """`x` plus `gate`, n × width, times `added`, or times what `added_norm` makes of `added`."""
    x = x.contiguous()
    total = empty_like(x)
    _launch(x, added=added.contiguous(), gate=gate, added_norm=added_norm, total=total)
    return total


def summed_and_normed(
    x: Tensor,
    added: Tensor,
    gate: Tensor | None,
    norm: Any,
    scale: Tensor | None = None,
    shift: Tensor | None = None,
    *,
    added_norm: Any = None,
) -> tuple[Tensor, Tensor]:
    """What `summed` returns, and what `normed` makes of it before it is rounded."""
    x = x.contiguous()
    total, out = empty_like(x), empty_like(x)
    _launch(
        x,
        added=added.contiguous(),
        gate=gate,
        added_norm=added_norm,
        total=total,
        norm=norm,
        scale=scale,
        shift=shift,
        normed=out,
    )
    return total, out


def _launch(
    x: Tensor,
    *,
    added: Tensor | None = None,
    added_norm: Any = None,
    gate: Tensor | None = None,
    norm: Any = None,
    scale: Tensor | None = None,
    shift: Tensor | None = None,
    total: Tensor | None = None,
    normed: Tensor | None = None,
) -> None:
    count, tokens, width = x.shape
    weight = None if norm is None else norm.weight
    _modulated[(count * tokens,)](
        x,
        x if added is None else added,
        x if added_norm is None else added_norm.weight,
        x if gate is None else gate,
        x if weight is None else weight,
        x if scale is None else scale,
        x if shift is None else shift,
        x if total is None else total,
        x if normed is None else normed,
        tokens,
        width,
        _stride(gate),
        _stride(scale),
        _stride(shift),
        0.0 if norm is None else norm.eps,
        0.0 if added_norm is None else added_norm.eps,
        added is not None,
        added_norm is not None,
        gate is not None,
        NONE if norm is None else LAYER if isinstance(norm, LayerNorm) else ROOT,
        weight is not None,
        scale is not None,
        shift is not None,
        triton.next_power_of_2(width),
        num_warps=WARPS,
    )


def _stride(of_images: Tensor | None) -> int:
    """From one image's row to the next one's; one row is for all images."""
    return 0 if of_images is None or len(of_images) == 1 else of_images.stride(0)


def turned(parts: list[tuple[Tensor, Any]], cosines: Tensor, sines: Tensor) -> Tensor:
    """Queries or keys, normalised and turned by their place (RoPE, arXiv:2104.09864): n × tokens × heads × width.

    `parts` are tokens, n × some × heads × width, each with its normalisation; their results follow each other. The pair
    of numbers 2i and 2i + 1 of a token is turned by the angle whose cosine and sine are number 2i of the token's
    `cosines` and `sines`. Those are tokens × width for all images, or n × tokens × width.
    """
    count, _, heads, width = parts[0][0].shape
    tokens = sum(x.shape[1] for x, _ in parts)
    out = empty((count, tokens, heads, width), device=parts[0][0].device, dtype=parts[0][0].dtype)
    first = 0
    for x, norm in parts:
        _turned[(count * x.shape[1],)](
            x,
            norm.weight,
            cosines,
            sines,
            out,
            x.shape[1],
            tokens,
            first,
            heads,
            x.stride(0),
            x.stride(1),
            tokens * width if cosines.ndim == 3 and count > 1 else 0,
            norm.eps,
            triton.next_power_of_2(heads),
            width,
            num_warps=WARPS,
        )
        first += x.shape[1]
    return out


def gated(gates: Tensor, values: Tensor) -> Tensor:
    """`values` times SiLU of `gates` (arXiv:2002.05202): rows, of which each may be a part of a longer one."""
    count, tokens, width = gates.shape
    out = empty((count, tokens, width), device=gates.device, dtype=gates.dtype)
    _gated[(count * tokens, triton.cdiv(width, PIECE))](
        gates, values, out, width, gates.stride(1), values.stride(1), PIECE
    )
    return out
