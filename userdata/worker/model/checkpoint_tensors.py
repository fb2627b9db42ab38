"""Reads the tensors of a checkpoint onto the device, and rounds them there, not on the processor."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import torch

from userdata.worker.model.checkpoint import open_pickle
from userdata.worker.model.safetensors_file import read_safetensors

# The weights' running average, which some checkpoints carry beside the weights, to go on with their training.
AVERAGE = "model_ema."

Tensors = dict[str, torch.Tensor]


def read_tensors(checkpoint: Path, *, device: torch.device, dtype: torch.dtype) -> Tensors:
    """The tensors of `checkpoint` by their names, on `device`; tensors of fractions are of `dtype`.

    Raises `RunError` for a pickle that holds anything else, and what `read_safetensors` raises for a broken file.
    """
    found: Iterable[tuple[str, torch.Tensor]]
    if checkpoint.suffix == ".safetensors":
        found = read_safetensors(checkpoint, device=device, wanted=_is_weight)
    else:
        found = ((name, tensor) for name, tensor in open_pickle(checkpoint).items() if _is_weight(name))
    # On a GPU each tensor gets memory of its own, so that the memory of its piece of the file can be given back.
    copy = device.type != "cpu"
    return {
        name: tensor.to(device).to(dtype if tensor.is_floating_point() else tensor.dtype, copy=copy)
        for name, tensor in found
    }


def _is_weight(name: str) -> bool:
    return not name.startswith(AVERAGE)
