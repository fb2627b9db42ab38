"""Remembers, beside the compiled kernels, that they are compiled: loading them is quick, compiling is not."""

from __future__ import annotations

import contextlib
import hashlib
import os
from pathlib import Path

import torch

KERNELS = [Path(__file__).with_name(name) for name in ("fused_kernels.py", "gated_product.py")]
KERNELS_OF_TRANSFORMERS = [
    Path(__file__).with_name(name) for name in ("transformer_kernels.py", "int8_kernel.py", "fused_kernels.py")
]
# The variable with the folder where Triton keeps compiled kernels. Without the variable nothing is remembered.
FOLDER = "TRITON_CACHE_DIR"


def compiled_here(device: torch.device, *, of_transformer: bool = False) -> bool:
    """Whether a batch was drawn before with these kernels, this version of PyTorch and this kind of GPU."""
    mark = _mark(device, of_transformer)
    return mark is not None and mark.exists()


def remember_compiled(device: torch.device, *, of_transformer: bool = False) -> None:
    """Notes that such a batch was drawn. When the note cannot be written, the next run reckons with compiling."""
    mark = _mark(device, of_transformer)
    if mark is not None:
        with contextlib.suppress(OSError):
            mark.touch()


def _mark(device: torch.device, of_transformer: bool) -> Path | None:
    folder = os.environ.get(FOLDER)
    if not folder or device.type != "cuda":
        return None
    files = KERNELS_OF_TRANSFORMERS if of_transformer else KERNELS
    origin = [torch.__version__, torch.cuda.get_device_name(device), *(file.read_text("utf-8") for file in files)]
    return Path(folder) / f"fused-{hashlib.sha256(repr(origin).encode()).hexdigest()[:16]}"
