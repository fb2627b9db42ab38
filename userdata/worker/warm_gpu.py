"""Has what a GPU works with loaded before the first image needs it: nothing here is computed for its result.

Without modules of PyTorch, which another thread may be making: diffusers changes how they are made meanwhile, for all
threads.
"""

from __future__ import annotations

import torch
from torch.nn.functional import conv2d, linear


def load_libraries(device: torch.device) -> None:
    """Those of matrix products and convolutions, cuBLAS and cuDNN."""
    x = torch.ones(1, 8, 8, 8, device=device, dtype=torch.half)
    linear(x, x[0, 0])
    conv2d(x, x[:, :, :3, :3])
    torch.cuda.synchronize(device)


def load_kernels(device: torch.device) -> None:
    """Triton, which reads all of itself before its first kernel: nearly a second."""
    from userdata.worker.fused_kernels import sum_of

    x = torch.ones(8, device=device, dtype=torch.half)
    sum_of(x, x)
    torch.cuda.synchronize(device)
