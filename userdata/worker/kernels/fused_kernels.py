"""The U-Net's small operations as a few passes over memory, for pixels that lie channels last: written in Triton.

PyTorch's own group normalisation puts channels-last pixels into the other order and its result back, and each
activation, bias and sum is a pass of its own: half the time of a step on an H100 (docs/performance.md). Rejected:
`torch.compile`, which does the same by itself, but takes a minute or more for each new size and batch.

All kernels compute in single precision and round once, where PyTorch rounds after each operation.
"""

from __future__ import annotations

import triton
import triton.language as tl
from torch import Tensor, channels_last, empty, empty_like, float32
from torch.nn import GroupNorm, LayerNorm, Linear
from torch.nn.functional import linear

from userdata.worker.kernels.gated_product import fits_hopper, gated_product

# Rows and columns of a program's piece of the pixels, and numbers of a piece of anything else. For the statistics, a
# program takes as many such pieces one after the other as TURNS says, and joins so many statistics at once.
ROWS = 32
COLUMNS = 64
TURNS = 4
JOINED = 256
PIECE = 1024
# Numbers of the rows that a program normalises at once.
ROWS_PIECE = 2048
# Of small programs more find room beside each other, so that more of the memory's answers are under way: on an H200 the
# statistics take a twelfth less time with 2 warps than with the usual 4, and the rows an eighth less with 1.
STATISTICS_WARPS = 2
ROWS_WARPS = 1


@triton.jit
def _column_statistics(
    x,
    means,
    squares,
    pixels,
    channels,
    first_channel,
    all_channels,
    ROWS: tl.constexpr,  # noqa: N803
    COLUMNS: tl.constexpr,  # noqa: N803
    TURNS: tl.constexpr,  # noqa: N803
):
    """Mean, and sum of squared distances from it, of each channel over each piece of `ROWS` times `TURNS` pixels.

    The channels of `x` are those from `first_channel` on of all whose statistics are kept.

    In one pass: the distances are first taken from one of the piece's own pixels, which is near enough to the mean that
    nothing of the sums is lost.
    """
    image = tl.program_id(2).to(tl.int64)
    piece = tl.program_id(1)
    first = piece * ROWS * TURNS
    columns = tl.program_id(0) * COLUMNS + tl.arange(0, COLUMNS)
    valid = columns < channels
    x += image * pixels * channels
    near = tl.load(x + first * channels + columns, valid, other=0.0).to(tl.float32)
    sums = tl.zeros((ROWS, COLUMNS), tl.float32)
    sums_of_squares = tl.zeros((ROWS, COLUMNS), tl.float32)
    for turn in tl.static_range(TURNS):
        rows = first + turn * ROWS + tl.arange(0, ROWS)
        inside = (rows[:, None] < pixels) & valid[None, :]
        values = tl.load(x + rows[:, None] * channels + columns[None, :], inside, other=0.0).to(tl.float32)
        distance = tl.where(inside, values - near[None, :], 0.0)
        sums += distance
        sums_of_squares += distance * distance
    total = tl.sum(sums, 0)
    mean = total / tl.minimum(ROWS * TURNS, pixels - first).to(tl.float32)
    at = (image * tl.num_programs(1) + piece) * all_channels + first_channel + columns
    tl.store(means + at, near + mean, valid)
    tl.store(squares + at, tl.maximum(tl.sum(sums_of_squares, 0) - total * mean, 0.0), valid)


@triton.jit
def _scale_and_shift(
    means,
    squares,
    added,
    weight,
    bias,
    scale,
    shift,
    pixels,
    channels,
    pieces,
    added_stride,
    eps,
    ADDED: tl.constexpr,  # noqa: N803
    OF_GROUP: tl.constexpr,  # noqa: N803
    ROWS: tl.constexpr,  # noqa: N803
    PIECES: tl.constexpr,  # noqa: N803
    WIDTH: tl.constexpr,  # noqa: N803
):
    """Joins the pieces' statistics to each group's (Chan, Golub, LeVeque 1979), and these with weight and bias."""
    image = tl.program_id(1).to(tl.int64)
    within = tl.arange(0, WIDTH)
    channel = tl.program_id(0) * OF_GROUP + within
    valid = within < OF_GROUP
    offset = tl.zeros((WIDTH,), tl.float32)
    if ADDED:
        offset = tl.load(added + image * added_stride + channel, valid, other=0.0).to(tl.float32)
    sums = tl.zeros((PIECES, WIDTH), tl.float32)
    for first in range(0, pieces, PIECES):
        piece = first + tl.arange(0, PIECES)
        inside = (piece[:, None] < pieces) & valid[None, :]
        at = (image * pieces + piece)[:, None] * channels + channel[None, :]
        count = tl.minimum(ROWS, pixels - piece * ROWS).to(tl.float32)
        sums += tl.where(inside, (tl.load(means + at, inside, other=0.0) + offset[None, :]) * count[:, None], 0.0)
    total = (pixels * OF_GROUP).to(tl.float32)
    mean = tl.sum(sums) / total
    sums = tl.zeros((PIECES, WIDTH), tl.float32)
    for first in range(0, pieces, PIECES):
        piece = first + tl.arange(0, PIECES)
        inside = (piece[:, None] < pieces) & valid[None, :]
        at = (image * pieces + piece)[:, None] * channels + channel[None, :]
        count = tl.minimum(ROWS, pixels - piece * ROWS).to(tl.float32)
        distance = tl.load(means + at, inside, other=0.0) + offset[None, :] - mean
        square = tl.load(squares + at, inside, other=0.0) + distance * distance * count[:, None]
        sums += tl.where(inside, square, 0.0)
    factor = tl.load(weight + channel, valid, other=0.0).to(tl.float32) / tl.sqrt(tl.sum(sums) / total + eps)
    constant = tl.load(bias + channel, valid, other=0.0).to(tl.float32)
    tl.store(scale + image * channels + channel, factor, valid)
    tl.store(shift + image * channels + channel, (offset - mean) * factor + constant, valid)


@triton.jit
def _scaled_and_shifted(
    x,
    out,
    scale,
    shift,
    pixels,
    channels,
    first_channel,
    all_channels,
    SILU: tl.constexpr,  # noqa: N803
    ROWS: tl.constexpr,  # noqa: N803
    COLUMNS: tl.constexpr,  # noqa: N803
):
    """The channels of `x` are those from `first_channel` on of `out`."""
    image = tl.program_id(2).to(tl.int64)
    rows = tl.program_id(1) * ROWS + tl.arange(0, ROWS)
    columns = tl.program_id(0) * COLUMNS + tl.arange(0, COLUMNS)
    valid = columns < channels
    inside = (rows[:, None] < pixels) & valid[None, :]
    factor = tl.load(scale + image * all_channels + first_channel + columns, valid, other=0.0)
    constant = tl.load(shift + image * all_channels + first_channel + columns, valid, other=0.0)
    x += image * pixels * channels
    values = tl.load(x + rows[:, None] * channels + columns[None, :], inside, other=0.0).to(tl.float32)
    values = values * factor[None, :] + constant[None, :]
    if SILU:
        values = values / (1.0 + tl.exp(-values))
    out += image * pixels * all_channels + first_channel
    tl.store(out + rows[:, None] * all_channels + columns[None, :], values.to(out.dtype.element_ty), inside)


@triton.jit
def _sum(x, y, bias, out, total, channels, OTHER: tl.constexpr, BIAS: tl.constexpr, PIECE: tl.constexpr):  # noqa: N803
    at = tl.program_id(0).to(tl.int64) * PIECE + tl.arange(0, PIECE)
    inside = at < total
    values = tl.load(x + at, inside).to(tl.float32)
    if OTHER:
        values += tl.load(y + at, inside).to(tl.float32)
    if BIAS:
        values += tl.load(bias + at % channels, inside).to(tl.float32)
    tl.store(out + at, values.to(out.dtype.element_ty), inside)


@triton.jit
def _doubled(x, out, total, width, channels, PIECE: tl.constexpr):  # noqa: N803
    at = tl.program_id(0).to(tl.int64) * PIECE + tl.arange(0, PIECE)
    inside = at < total
    values = tl.load(x + at, inside)
    pixel = at // channels
    to = out + (pixel // width * 4 * width + pixel % width * 2) * channels + at % channels
    for down in tl.static_range(2):
        for right in tl.static_range(2):
            tl.store(to + (down * 2 * width + right) * channels, values, inside)


@triton.jit
def _geglu(x, out, total, width, PIECE: tl.constexpr):  # noqa: N803
    at = tl.program_id(0).to(tl.int64) * PIECE + tl.arange(0, PIECE)
    inside = at < total
    first = x + at // width * 2 * width + at % width
    values = tl.load(first, inside).to(tl.float32)
    gates = tl.load(first + width, inside).to(tl.float32)
    values = values * 0.5 * gates * (1.0 + tl.erf(gates * 0.7071067811865476))
    tl.store(out + at, values.to(out.dtype.element_ty), inside)


@triton.jit
def _layer_norm(
    x,
    added,
    kept,
    normed,
    weight,
    bias,
    rows,
    width,
    eps,
    ADDED: tl.constexpr,  # noqa: N803
    KEPT: tl.constexpr,  # noqa: N803
    ROWS: tl.constexpr,  # noqa: N803
    WIDTH: tl.constexpr,  # noqa: N803
):
    row = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    column = tl.arange(0, WIDTH)
    valid = column < width
    inside = (row[:, None] < rows) & valid[None, :]
    at = row[:, None] * width + column[None, :]
    values = tl.load(x + at, inside, other=0.0).to(tl.float32)
    if KEPT:
        more = values + tl.load(kept + column, valid, other=0.0).to(tl.float32)[None, :]
        tl.store(x + at, more.to(x.dtype.element_ty), inside)
    if ADDED:
        values += tl.load(added + column, valid, other=0.0).to(tl.float32)[None, :]
    mean = tl.sum(values, 1) / width
    distance = tl.where(inside, values - mean[:, None], 0.0)
    variance = tl.sum(distance * distance, 1) / width
    factor = tl.load(weight + column, valid, other=0.0).to(tl.float32)
    constant = tl.load(bias + column, valid, other=0.0).to(tl.float32)
    values = distance / tl.sqrt(variance + eps)[:, None] * factor[None, :] + constant[None, :]
    tl.store(normed + at, values.to(normed.dtype.element_ty), inside)


@triton.jit
def _interleaved(x, bias, out, total, height, width, channels, PIECE: tl.constexpr):  # noqa: N803
    at = tl.program_id(0).to(tl.int64) * PIECE + tl.arange(0, PIECE)
    inside = at < total
    channel = at % channels
    position = at // channels
    column = position % (2 * width)
    position = position // (2 * width)
    row = position % (2 * height)
    down = row % 2
    right = column % 2
    source = (position // (2 * height) * (height + 1) + row // 2 + down) * (width + 1) + column // 2 + right
    values = tl.load(x + (source * 4 + 2 * down + right) * channels + channel, inside).to(tl.float32)
    values += tl.load(bias + channel, inside).to(tl.float32)
    tl.store(out + at, values.to(out.dtype.element_ty), inside)


def group_norm(
    x: Tensor, norm: GroupNorm, *, silu: bool, added: Tensor | None = None, joined: Tensor | None = None
) -> Tensor:
    """`norm` of `x`, n × c × h × w, and SiLU of that if asked for; the result lies channels last.

    `added`, n × c, whose rows may be parts of longer ones, is added to all pixels beforehand. The channels of `joined`
    follow on those of `x`.
    """
    count, channels, height, width = x.shape
    parts = [(x.contiguous(memory_format=channels_last), 0)]
    if joined is not None:
        parts.append((joined.contiguous(memory_format=channels_last), channels))
        channels += joined.shape[1]
    pixels = height * width
    pieces = triton.cdiv(pixels, ROWS * TURNS)
    of_group = channels // norm.num_groups
    means = empty((count, pieces, channels), device=x.device, dtype=float32)
    squares = empty_like(means)
    scale = empty((count, channels), device=x.device, dtype=float32)
    shift = empty_like(scale)
    for part, first in parts:
        own = part.shape[1]
        grid = (triton.cdiv(own, COLUMNS), pieces, count)
        _column_statistics[grid](
            part, means, squares, pixels, own, first, channels, ROWS, COLUMNS, TURNS, num_warps=STATISTICS_WARPS
        )
    _scale_and_shift[(norm.num_groups, count)](
        means,
        squares,
        means if added is None else added,
        norm.weight,
        norm.bias,
        scale,
        shift,
        pixels,
        channels,
        pieces,
        0 if added is None else added.stride(0),
        norm.eps,
        added is not None,
        of_group,
        ROWS * TURNS,
        min(JOINED, triton.next_power_of_2(pieces)),
        triton.next_power_of_2(of_group),
    )
    out = empty((count, channels, height, width), device=x.device, dtype=x.dtype, memory_format=channels_last)
    for part, first in parts:
        own = part.shape[1]
        grid = (triton.cdiv(own, COLUMNS), triton.cdiv(pixels, ROWS), count)
        _scaled_and_shifted[grid](part, out, scale, shift, pixels, own, first, channels, silu, ROWS, COLUMNS)
    return out


def sum_of(x: Tensor, y: Tensor, bias: Tensor | None = None) -> Tensor:
    """`x + y`, which lie alike in memory; `bias` is added to each of their innermost dimension."""
    out = empty_like(x)
    channels = x.numel() if bias is None else bias.numel()
    grid = (triton.cdiv(x.numel(), PIECE),)
    _sum[grid](x, y, x if bias is None else bias, out, x.numel(), channels, True, bias is not None, PIECE)
    return out


def plus_bias(x: Tensor, bias: Tensor) -> Tensor:
    """`x`, to which `bias` is added in its place, to each of its innermost dimension."""
    _sum[(triton.cdiv(x.numel(), PIECE),)](x, x, bias, x, x.numel(), bias.numel(), False, True, PIECE)
    return x


def doubled(x: Tensor) -> Tensor:
    """Each pixel of `x`, n × c × h × w channels last, as 2 × 2 pixels: PyTorch's own way takes ten times as long."""
    count, channels, height, width = x.shape
    out = empty((count, channels, 2 * height, 2 * width), device=x.device, dtype=x.dtype, memory_format=channels_last)
    _doubled[(triton.cdiv(x.numel(), PIECE),)](x, out, x.numel(), width, channels, PIECE)
    return out


def geglu(x: Tensor, layer: Linear) -> Tensor:
    """The first half of what `layer` makes of the last dimension of `x` times GELU of the second (arXiv:2002.05202)."""
    if fits_hopper(x):
        return gated_product(x, layer)
    x = linear(x, layer.weight, layer.bias)
    width = x.shape[-1] // 2
    out = empty((*x.shape[:-1], width), device=x.device, dtype=x.dtype)
    _geglu[(triton.cdiv(out.numel(), PIECE),)](x, out, out.numel(), width, PIECE)
    return out


def layer_norm(x: Tensor, norm: LayerNorm, *, added: Tensor | None = None, kept: Tensor | None = None) -> Tensor:
    """`norm` of `x + added`. With `kept`, `x`, which is contiguous, becomes `x + kept`; both are of a row's width."""
    width = x.shape[-1]
    rows = x.numel() // width
    padded = triton.next_power_of_2(width)
    at_once = max(1, ROWS_PIECE // padded)
    normed = empty_like(x)
    _layer_norm[(triton.cdiv(rows, at_once),)](
        x,
        x if added is None else added,
        x if kept is None else kept,
        normed,
        norm.weight,
        norm.bias,
        rows,
        width,
        norm.eps,
        added is not None,
        kept is not None,
        at_once,
        padded,
        num_warps=ROWS_WARPS,
    )
    return normed


def interleaved(x: Tensor, bias: Tensor) -> Tensor:
    """The four images of `x`, n × 4c × h+1 × w+1 channels last, woven into one of n × c × 2h × 2w, plus `bias`.

    Pixel (2i + a, 2j + b) is pixel (i + a, j + b) of image 2a + b.
    """
    count, channels, height, width = x.shape[0], bias.numel(), x.shape[2] - 1, x.shape[3] - 1
    out = empty((count, channels, 2 * height, 2 * width), device=x.device, dtype=x.dtype, memory_format=channels_last)
    _interleaved[(triton.cdiv(out.numel(), PIECE),)](x, bias, out, out.numel(), height, width, channels, PIECE)
    return out
