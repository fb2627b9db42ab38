"""Reads the tensors of a checkpoint onto the device, and rounds them there: the processor computes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch

from userdata.worker.model.checkpoint import open_pickle
from userdata.worker.model.safetensors_file import read_safetensors

# The weights' running average, which some checkpoints carry a second time for going on with their training.
AVERAGE = "model_ema."

Tensors = dict[str, torch.Tensor]


def read_tensors(checkpoint: Path, *, device: torch.device, dtype: torch.dtype) -> Tensors:
    """The tensors of `checkpoint` by their names, on `device`; those of fractions are of `dtype`.

    Raises `RunError` for a pickle that holds anything else, and for a broken file what `read_safetensors` does.
    """
    # On a GPU each gets memory of its own, so that the piece of the file that it came with can be let go.
    copy = device.type != "cpu"
    return {
        name: tensor.to(device).to(dtype if tensor.is_floating_point() else tensor.dtype, copy=copy)
        for name, tensor in _tensors(checkpoint, device)
    }


def _tensors(checkpoint: Path, device: torch.device) -> Iterator[tuple[str, torch.Tensor]]:
    if checkpoint.suffix == ".safetensors":
        return read_safetensors(checkpoint, device=device, wanted=_is_weight)
    return ((name, tensor) for name, tensor in open_pickle(checkpoint).items() if _is_weight(name))


def _is_weight(name: str) -> bool:
    return not name.startswith(AVERAGE)
