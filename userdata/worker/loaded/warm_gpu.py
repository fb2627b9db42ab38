"""Loads the CUDA libraries before the first image needs them. The computed values are thrown away."""

from __future__ import annotations

import torch
from torch.nn.functional import conv2d, linear


def load_libraries(device: torch.device) -> None:
    """Loads cuBLAS and cuDNN, which compute matrix products and convolutions, by computing one of each."""
    x = torch.ones(1, 8, 8, 8, device=device, dtype=torch.half)
    linear(x, x[0, 0])
    conv2d(x, x[:, :, :3, :3])
    torch.cuda.synchronize(device)
