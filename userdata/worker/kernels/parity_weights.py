"""A convolution of doubled pixels as four of the pixels themselves."""

from __future__ import annotations

import torch
from torch import Tensor

# Which of the three rows of a kernel fall onto each of two rows of pixels, for the even rows of the doubled ones and
# for the odd ones.
ROWS_OF_PARITY = [[[1, 0, 0], [0, 1, 1]], [[1, 1, 0], [0, 0, 1]]]


def parity_weights(weight: Tensor) -> Tensor:
    """The weights of four convolutions of 2 × 2 which together are one of 3 × 3 on doubled pixels.

    Of the three rows under a kernel two are copies of one, which depends on whether the middle one is even or odd; so
    their weights add up. The same holds for columns.
    """
    which = torch.tensor(ROWS_OF_PARITY, dtype=torch.float32, device=weight.device)
    parts = torch.einsum("apy,oiyx,bqx->aboipq", which, weight.float(), which)
    return parts.flatten(0, 2).to(weight.dtype).contiguous(memory_format=torch.channels_last)
