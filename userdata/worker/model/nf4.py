"""Linear layers whose weights are kept in NF4, the 4-bit type of QLoRA (Dettmers et al. 2023, appendix E).

64 weights share one scale, their largest magnitude, and each of them is kept as the nearest of 16 values, which are
quantiles of the normal distribution. Before each product the weights are made again, in the activations' type: this
saves memory, not time. Rejected: torchao's NF4Tensor, with which a test compares the values. It looks 4-bit numbers up
as 64-bit indexes, one array for each half of a byte; here a byte is looked up as a whole, with a third of the traffic.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

BLOCK = 64
VALUES = (
    *(-1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453),
    *(-0.28444138169288635, -0.18477343022823334, -0.09105003625154495, 0.0),
    *(0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224),
    *(0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0),
)


class Nf4Linear(nn.Module):
    """Takes the place of `linear`, whose number of weights must be a multiple of 64. Raises `ValueError` otherwise."""

    packed: Tensor
    scales: Tensor
    pairs: Tensor

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        weight = linear.weight.detach()
        if weight.numel() % BLOCK:
            raise ValueError(f"{weight.numel()} weights are no multiple of {BLOCK}")
        self.bias = linear.bias
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
        """The weights, as near to the linear layer's own as NF4 comes, in their type."""
        weights = self.pairs[self.packed.int()].view(-1, BLOCK)
        return weights.mul_(self.scales).view(self.shape)

    def forward(self, states: Tensor) -> Tensor:
        """As `torch.nn.Linear`."""
        return functional.linear(states, self.unpacked().to(states.dtype), self.bias)
