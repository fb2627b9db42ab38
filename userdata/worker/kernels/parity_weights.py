"""Replaces a convolution of doubled pixels with four convolutions of the original pixels."""

from __future__ import annotations

import torch
from torch import Tensor

# Which of the three rows of a kernel fall onto each of two rows of original pixels, for the even rows of doubled pixels
# and for the odd rows.
ROWS_OF_PARITY = [[[1, 0, 0], [0, 1, 1]], [[1, 1, 0], [0, 0, 1]]]


def parity_weights(weight: Tensor) -> Tensor:
    """The weights of four 2 × 2 convolutions which together are one 3 × 3 convolution of doubled pixels.

    Two of the three rows under a kernel are copies of one original row, so their weights add up. Which two depends on
    whether the middle row is even or odd. The same holds for columns.
    """
    which = torch.tensor(ROWS_OF_PARITY, dtype=torch.float32, device=weight.device)
    parts = torch.einsum("apy,oiyx,bqx->aboipq", which, weight.float(), which)
    return parts.flatten(0, 2).to(weight.dtype).contiguous(memory_format=torch.channels_last)
