"""Has what a GPU works with loaded before the first image needs it: nothing here is computed for its result."""

from __future__ import annotations

import torch
from torch.nn.functional import conv2d, linear


def load_libraries(device: torch.device) -> None:
    """Those of matrix products and convolutions, cuBLAS and cuDNN."""
    x = torch.ones(1, 8, 8, 8, device=device, dtype=torch.half)
    linear(x, x[0, 0])
    conv2d(x, x[:, :, :3, :3])
    torch.cuda.synchronize(device)
