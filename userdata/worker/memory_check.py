"""Asks, before a model is loaded, whether the GPU has room for it: loading takes minutes, and failing there is dear."""

from __future__ import annotations

import math
from pathlib import Path

import torch

from userdata.worker.catalogue import Model
from userdata.worker.checkpoint import checkpoint_in, shapes_of
from userdata.worker.memory_need import GIB, memory_need_gib
from userdata.worker.run_error import RunError

HALF_PRECISION_BYTES = 2


def check_memory(model: Model, folder: Path, device: torch.device, *, instance_type: str) -> None:
    """Raises `RunError` when `device`, a GPU, has less memory than `model` needs; other devices are not asked.

    For somebody's own checkpoint the need follows from its tensors.
    """
    if device.type != "cuda":
        return
    has_gib = torch.cuda.get_device_properties(device).total_memory / GIB
    needs_gib = model.memory_gib or _need_of(model, folder)
    if needs_gib > has_gib:
        raise RunError(
            f"{model.title} needs {needs_gib:.1f} GiB of GPU memory, but the GPU of {instance_type} has "
            f"{has_gib:.1f}. Deploy again with an InstanceType whose GPU has more (docs/models.md)."
        )


def _need_of(model: Model, folder: Path) -> float:
    numbers = sum(math.prod(shape) for shape in shapes_of(checkpoint_in(folder)).values())
    return memory_need_gib(
        weights_bytes=numbers * HALF_PRECISION_BYTES,
        native_size=model.native_size,
        decoder_bytes=HALF_PRECISION_BYTES,
    )
