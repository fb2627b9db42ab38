"""Compares the fused kernels on a device with PyTorch's own operations, before anything is drawn with them."""

from __future__ import annotations

import logging
from functools import cache
from threading import Lock

import torch
import torch.nn.functional as F  # noqa: N812  # its usual name
from torch import Tensor, nn

from userdata.job.quantization import WITH_FP8
from userdata.worker.kernels.compiled_here import compiled_here
from userdata.worker.kernels.parity_weights import parity_weights
from userdata.worker.kernels.triton_kernels import (
    Fp8Kernel,
    Kernels,
    TransformerKernels,
    fp8_kernel,
    int8_kernel,
    kernels,
    transformer_kernels,
)
from userdata.worker.model.kept_linear import Int8Linear, in_fp8

logger = logging.getLogger(__name__)

# For numbers around 1 in half precision, which has a relative step of 0.001, and in bfloat16, which has one of 0.008.
TOLERANCE = 0.01
TOLERANCE_OF_TRANSFORMERS = 0.03
# fp8 (e4m3) has a relative step of 0.125, so that rounding is off by half of it.
TOLERANCE_OF_FP8 = 0.07
# Seconds to load kernels that are compiled, and to compile them (docs/performance.md).
LOADING = 1.3
COMPILING = 12.0
COMPILING_OF_TRANSFORMERS = 5.0
# The kinds of device, each with whether it is about a transformer, whose kernels this process has checked.
_answered: set[tuple[str, bool]] = set()
_one_at_a_time = Lock()


def seconds_until_loaded(device: torch.device, *, of_transformer: bool = False) -> float:
    """How long `fused_kernels_work` takes here: nothing in a process that it has answered before."""
    if (device.type, of_transformer) in _answered:
        return 0.0
    if compiled_here(device, of_transformer=of_transformer):
        return LOADING
    return COMPILING_OF_TRANSFORMERS if of_transformer else COMPILING


def fused_kernels_work(device: torch.device, *, of_transformer: bool = False) -> bool:
    """Whether the kernels compile here, which takes a C compiler, and compute on `device` what PyTorch computes.

    A network that is a transformer has kernels of its own, which use those of the decoder beside it. A thread that asks
    while another one checks waits for its answer.
    """
    with _one_at_a_time:
        return checked(torch.device(device.type), of_transformer)


@cache
def checked(device: torch.device, of_transformer: bool) -> bool:
    """What `fused_kernels_work` tells of the process's one GPU."""
    try:
        if of_transformer:
            _try_transformer_kernels(transformer_kernels(), kernels(), device)
        else:
            _try_kernels(kernels(), device)
    except Exception as error:  # noqa: BLE001  # whatever it is, the images can be drawn without them
        logger.warning(
            "The fused kernels cannot be used, so that images take longer (%s: %s)", type(error).__name__, error
        )
        return False
    finally:
        _answered.add((device.type, of_transformer))
    return True


@torch.no_grad()
def _try_kernels(kernels: Kernels, device: torch.device) -> None:
    generator = torch.Generator(device).manual_seed(0)

    def drawn(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, device=device).half()

    # What is added lies in longer rows, as it does behind joined products.
    x, added, rows, layer = (
        drawn(2, 96, 9, 10),
        drawn(2, 192)[:, 96:],
        drawn(5, 48),
        nn.Linear(48, 96).to(device).half(),
    )
    norm, row_norm = nn.GroupNorm(32, 96).to(device).half(), nn.LayerNorm(48).to(device).half()
    # Filled here, because transformers keeps PyTorch from filling them, in all threads, while a thread loads a model.
    for module in (layer, norm, row_norm):
        module.weight.copy_(drawn(*module.weight.shape) / len(module.weight) ** 0.5)
        module.bias.copy_(drawn(*module.bias.shape))
    x = x.contiguous(memory_format=torch.channels_last)
    halves, changed = layer(rows).chunk(2, dim=-1), rows.clone()
    pairs = (
        (kernels.group_norm(x, norm, silu=True, added=added), F.silu(norm(x + added[:, :, None, None]))),
        (kernels.group_norm(x[:, :60], norm, silu=False, joined=x[:, 60:]), norm(x)),
        (kernels.sum_of(x, x, norm.weight), 2 * x + norm.weight[:, None, None]),
        (kernels.plus_bias(x.clone(), norm.bias), x + norm.bias[:, None, None]),
        (kernels.doubled(x), F.interpolate(x, scale_factor=2.0)),
        (kernels.geglu(rows, layer), halves[0] * F.gelu(halves[1])),
        (kernels.layer_norm(rows, row_norm, added=row_norm.weight), row_norm(rows + row_norm.weight)),
        (kernels.layer_norm(changed, row_norm, kept=changed[0].clone()), row_norm(rows)),
        (changed, rows + rows[0]),
    )
    weight = drawn(3, 96, 3, 3) / 30
    four = F.conv2d(x, parity_weights(weight), padding=1).contiguous(memory_format=torch.channels_last)
    doubled = F.conv2d(F.interpolate(x, scale_factor=2.0), weight, norm.weight[:3], padding=1)
    for computed, expected in (*pairs, (kernels.interleaved(four, norm.weight[:3]), doubled)):
        torch.testing.assert_close(computed, expected, rtol=TOLERANCE, atol=TOLERANCE)


@torch.no_grad()
def _try_transformer_kernels(kernels: TransformerKernels, of_decoder: Kernels, device: torch.device) -> None:
    generator = torch.Generator(device).manual_seed(0)

    def drawn(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, device=device).bfloat16()

    x, added, scale, shift, gate = drawn(2, 5, 96), drawn(2, 5, 96), drawn(2, 96), drawn(2, 96), drawn(2, 96)
    norm, root, other_root = nn.LayerNorm(96, elementwise_affine=False), nn.RMSNorm(96, 1e-6), nn.RMSNorm(96, 1e-6)
    of_head, of_group = nn.RMSNorm(32, 1e-6), nn.GroupNorm(32, 96)
    for module in (root, other_root, of_head, of_group):
        module.to(device).bfloat16()
        module.weight.copy_(1 + drawn(*module.weight.shape) / 4)
    of_group.bias.copy_(drawn(96))
    linear = nn.Linear(96, 48).to(device).bfloat16()
    linear.weight.copy_(drawn(48, 96) / 10)
    linear.bias.copy_(drawn(48))
    in_int8 = Int8Linear(linear)
    of_int8 = F.linear(shift.float(), in_int8.unpacked().float(), linear.bias.float())
    angles = torch.rand(2, 7, 16, generator=generator, device=device).repeat_interleave(2, dim=-1) * 6
    heads, maps = x.view(2, 5, 3, 32), drawn(2, 96, 3, 4).contiguous(memory_format=torch.channels_last)
    exact = x.float()
    factor, constant, more = 1 + scale.float()[:, None], shift.float()[:, None], gate.float()[:, None] * added.float()
    of_root = gate.float()[:, None] * F.rms_norm(added.float(), (96,), other_root.weight.float(), 1e-6)
    total, normed = kernels.summed_and_normed(x, added, gate, norm, scale, shift)
    root_total, root_normed = kernels.summed_and_normed(x, added, gate, root, scale, added_norm=other_root)
    turned = kernels.turned([(heads[:, :2], of_head), (heads, of_head)], angles.cos(), angles.sin())
    pairs = (
        (kernels.normed(x, norm, scale, shift), F.layer_norm(exact, (96,), eps=norm.eps) * factor + constant),
        (kernels.normed(x, root), F.rms_norm(exact, (96,), root.weight.float(), 1e-6)),
        (kernels.summed(x, added, gate), exact + more),
        (total, exact + more),
        (normed, F.layer_norm(exact + more, (96,), eps=norm.eps) * factor + constant),
        (kernels.summed(x, added, gate, added_norm=other_root), exact + of_root),
        (root_total, exact + of_root),
        (root_normed, F.rms_norm(exact + of_root, (96,), root.weight.float(), 1e-6) * factor),
        (turned, _turned(torch.cat([heads[:, :2], heads], dim=1), of_head.weight, angles)),
        (int8_kernel().product(shift, in_int8), of_int8),
        (kernels.gated(x[..., :48], x[..., 48:]), F.silu(exact[..., :48]) * exact[..., 48:]),
        (of_decoder.group_norm(maps, of_group, silu=True), F.silu(of_group(maps))),
        (of_decoder.sum_of(maps, maps, of_group.bias), 2 * maps + of_group.bias[:, None, None]),
    )
    for computed, expected in pairs:
        tolerance = TOLERANCE_OF_TRANSFORMERS
        torch.testing.assert_close(computed.float(), expected.float(), rtol=tolerance, atol=tolerance)
    if device.type != "cuda" or torch.cuda.get_device_capability(device) in WITH_FP8:
        _try_fp8(fp8_kernel(), x, added)


def _try_fp8(kernel: Fp8Kernel, x: Tensor, added: Tensor) -> None:
    half, other = x[..., :48], x[..., 48:]
    for made, expected in (
        (kernel.in_fp8(other), other),
        (kernel.in_fp8(other, gelu=True), F.gelu(other.float(), approximate="tanh")),
        (kernel.in_fp8(half, gates=other), F.silu(other.float()) * half.float()),
        (kernel.in_fp8(half, gelu=True, beside=added), torch.cat([added, F.gelu(half, approximate="tanh")], dim=-1)),
    ):
        rounded, scales = made
        torch.testing.assert_close(scales, in_fp8(expected).scales, rtol=TOLERANCE, atol=0)
        torch.testing.assert_close(rounded.float() * scales, expected.float(), rtol=TOLERANCE_OF_FP8, atol=TOLERANCE)


def _turned(x: Tensor, weight: Tensor, angles: Tensor) -> Tensor:
    """Pairs of numbers as complex ones, each turned by its angle."""
    normed = torch.view_as_complex(F.rms_norm(x.float(), (32,), weight.float(), 1e-6).view(*x.shape[:3], 16, 2))
    turns = torch.polar(torch.ones_like(angles), angles)[..., ::2]
    return torch.view_as_real(normed * turns[:, :, None]).flatten(3)
