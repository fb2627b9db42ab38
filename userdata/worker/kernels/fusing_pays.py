"""Decides whether fused kernels save more time than loading or compiling them takes."""

from __future__ import annotations

import torch

from userdata.worker.kernels.compiled_here import compiled_here

# On an H100 the fused kernels save 4 ms of each step of each image. Compiling the kernels takes 12 s, loading compiled
# kernels 1.3 s (docs/performance.md). The kernels save access to memory, which is slower on a smaller GPU, roughly by
# the square of its multiprocessors.
IMAGE_STEPS_WORTH_COMPILING = 3000
IMAGE_STEPS_WORTH_LOADING = 350
MULTIPROCESSORS_OF_H100 = 132


def fusing_pays(device: torch.device, *, steps: int, images: int) -> bool:
    """Whether fused kernels pay for `images` images of one shape and `steps` steps each on `device`, a GPU."""
    processors = torch.cuda.get_device_properties(device).multi_processor_count
    worth = IMAGE_STEPS_WORTH_LOADING if compiled_here(device) else IMAGE_STEPS_WORTH_COMPILING
    return steps * images >= worth * (processors / MULTIPROCESSORS_OF_H100) ** 2
