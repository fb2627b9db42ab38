"""Reads the tensors of a checkpoint onto the device: one by one, and rounded there.

So nothing is held twice, in memory or on the GPU, and the processor computes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch
from safetensors import safe_open

from userdata.worker.checkpoint import open_pickle

# The weights' running average, which some checkpoints carry a second time for going on with their training.
AVERAGE = "model_ema."

Tensors = dict[str, torch.Tensor]


def read_tensors(checkpoint: Path, *, device: torch.device, dtype: torch.dtype) -> Tensors:
    """The tensors of `checkpoint` by their names, on `device`; those of fractions are of `dtype`.

    Raises `RunError` for a pickle that holds anything else, and what torch and safetensors do.
    """
    return {
        name: tensor.to(device).to(dtype) if tensor.is_floating_point() else tensor.to(device)
        for name, tensor in _tensors(checkpoint, device)
        if not name.startswith(AVERAGE)
    }


def _tensors(checkpoint: Path, device: torch.device) -> Iterator[tuple[str, torch.Tensor]]:
    if checkpoint.suffix != ".safetensors":
        yield from open_pickle(checkpoint).items()
        return
    with safe_open(checkpoint, framework="pt", device=str(device)) as file:
        for name in file.keys():  # noqa: SIM118  # it is no dictionary
            if not name.startswith(AVERAGE):
                yield name, file.get_tensor(name)
