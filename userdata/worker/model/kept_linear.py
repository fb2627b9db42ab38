"""Linear layers whose weights are kept in a smaller type: int8, NF4 or fp8.

Those of int8 and NF4 are made again before each product, which is computed in the states' own type, as without: that
saves memory, not time. int8 has a scale for each row, its largest magnitude over 127. NF4 is the 4-bit type of QLoRA
(Dettmers et al. 2023, appendix E): 64 weights share a scale, their largest magnitude, and each is kept as the nearest
of 16 values, which are quantiles of the normal distribution. fp8 (e4m3, arXiv:2209.05433) is multiplied with states in
fp8: each row of weights and each token has a scale, its largest magnitude over 448.

Rejected: torchao's tensors. Its int8 multiplies the product by the scales and adds the bias afterwards, two passes over
all results: on an H200 a step of FLUX.1 for four images took 0.77 s, with this one 0.68, and 0.64 with the own weights.
Its NF4 looks the numbers up by indexes of 64 bits, one array for each half of a byte, where here a byte is looked up as
a whole. Its fp8 finds the scales of the states in passes of their own, for each product anew: FLUX.1 took 0.65 s an
image with it, and 0.51 with the own weights.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

LARGEST = 127
LARGEST_IN_FP8 = 448.0
# What counts as the largest number of a row whose numbers are all smaller: a text that is filled up has rows of zeros.
LEAST = 1e-12
BLOCK = 64
VALUES = (
    *(-1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453),
    *(-0.28444138169288635, -0.18477343022823334, -0.09105003625154495, 0.0),
    *(0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224),
    *(0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0),
)


class KeptLinear(nn.Module, ABC):
    """Takes the place of a linear layer, whose bias it has."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.bias = linear.bias

    @abstractmethod
    def unpacked(self) -> Tensor:
        """The weights, as near to the linear layer's own as the type comes, in their type."""

    def forward(self, states: Tensor) -> Tensor:
        """As `torch.nn.Linear`."""
        return functional.linear(states, self.unpacked().to(states.dtype), self.bias)


class Int8Linear(KeptLinear):
    """With the weights in int8."""

    rounded: Tensor
    scales: Tensor

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__(linear)
        weight = linear.weight.detach().float()
        scales = (weight.abs().amax(1, keepdim=True) / LARGEST).clamp(min=torch.finfo(torch.float32).tiny)
        # Rounded to the weights' type before the weights are divided by them, so that their rounding is no error.
        scales = scales.to(linear.weight.dtype)
        self.register_buffer("rounded", (weight / scales).round_().clamp_(-LARGEST, LARGEST).to(torch.int8))
        self.register_buffer("scales", scales)

    def unpacked(self) -> Tensor:
        """As `KeptLinear.unpacked`."""
        return self.rounded * self.scales


class Nf4Linear(KeptLinear):
    """With the weights in NF4; their number must be a multiple of 64. Raises `ValueError` otherwise."""

    packed: Tensor
    scales: Tensor
    pairs: Tensor

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__(linear)
        weight = linear.weight.detach()
        if weight.numel() % BLOCK:
            raise ValueError(f"{weight.numel()} weights are no multiple of {BLOCK}")
        self.shape = weight.shape
        blocks = weight.float().reshape(-1, BLOCK)
        scales = blocks.abs().amax(1, keepdim=True)
        values = torch.tensor(VALUES, device=weight.device)
        borders = (values[1:] + values[:-1]) / 2
        codes = torch.bucketize(blocks / scales.clamp(min=torch.finfo(torch.float32).tiny), borders, out_int32=True)
        codes = codes.reshape(-1, 2)
        # Scales in the weight's own type: in it a largest magnitude is kept without a loss.
        self.register_buffer("packed", (codes[:, 0] << 4 | codes[:, 1]).to(torch.uint8))
        self.register_buffer("scales", scales.to(weight.dtype))
        every = torch.arange(256, device=weight.device)
        self.register_buffer("pairs", torch.stack([values[every >> 4], values[every & 15]], 1).to(weight.dtype))

    def unpacked(self) -> Tensor:
        """As `KeptLinear.unpacked`."""
        weights = self.pairs[self.packed.int()].view(-1, BLOCK)
        return weights.mul_(self.scales).view(self.shape)


class InFp8(NamedTuple):
    """Rows in fp8: n × tokens × width, times `scales`, one for each row: n × tokens × 1, in single precision."""

    rounded: Tensor
    scales: Tensor


class Fp8Linear(nn.Module):
    """Takes the place of a linear layer, whose bias it has, with the weights in fp8 and products of numbers in fp8."""

    rounded: Tensor
    scales: Tensor

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.bias, self.dtype = linear.bias, linear.weight.dtype
        rounded, scales = in_fp8(linear.weight.detach())
        self.register_buffer("rounded", rounded)
        self.register_buffer("scales", scales)

    def forward(self, states: Tensor | InFp8) -> Tensor:
        """As `torch.nn.Linear`, of states that may be in fp8 already."""
        states = in_fp8(states) if isinstance(states, Tensor) else states
        # In single precision PyTorch adds no bias to such a product.
        bias = None if self.dtype == torch.float32 else self.bias
        product = torch._scaled_mm(
            states.rounded.flatten(0, -2),
            self.rounded.t(),
            states.scales.flatten(0, -2),
            self.scales.t(),
            bias=bias,
            out_dtype=self.dtype,
            use_fast_accum=True,
        )
        if bias is not self.bias:
            product += self.bias
        return product.view(*states.rounded.shape[:-1], -1)


def in_fp8(rows: Tensor) -> InFp8:
    """`rows` in fp8, the largest magnitude of each as the type's largest number."""
    exact = rows.float()
    scales = exact.abs().amax(-1, keepdim=True).clamp(min=LEAST) / LARGEST_IN_FP8
    return InFp8((exact / scales).clamp(-LARGEST_IN_FP8, LARGEST_IN_FP8).to(torch.float8_e4m3fn), scales)
