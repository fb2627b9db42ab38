"""Reads the tensors of a checkpoint onto the device, and rounds them there, not on the processor."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import torch

from userdata.contract.outside import read_json
from userdata.job.run_error import RunError
from userdata.worker.model.checkpoint import refusal
from userdata.worker.model.safetensors_file import read_safetensors
from userdata.worker.model.tensor_file import is_safetensors, tensors_in_pickle
from userdata.worker.model.tensor_names import AVERAGE, usual_name

Tensors = dict[str, torch.Tensor]
# By what the numbers of `<layer>.weight` are to be multiplied, by the older and the newer name, and what lies beside.
SCALES = (".scale_weight", ".weight_scale")
_BESIDE_SCALES = (".scale_input", ".input_scale", ".comfy_quant", "scaled_fp8")
_FORMAT = ".comfy_quant"
# Weights in fewer bits that are not numbers by themselves: those of bitsandbytes, GPTQ, quanto, and ComfyUI's NVFP4.
_PACKED = (".absmax", ".quant_map", ".qweight", ".qzeros", ".weight._data", ".weight_scale_2")


def read_tensors(checkpoint: Path, *, device: torch.device, dtype: torch.dtype) -> Tensors:
    """What `read_any_tensors` reads of a checkpoint. Raises `RunError` instead of `ValueError`."""
    try:
        return read_any_tensors(checkpoint, device=device, dtype=dtype)
    except ValueError as error:
        raise RunError(refusal(checkpoint, str(error))) from error


def read_any_tensors(file: Path, *, device: torch.device, dtype: torch.dtype) -> Tensors:
    """The tensors of `file` by their usual names, on `device`; tensors of fractions are of `dtype`.

    Weights in eight bits that a scale belongs to are multiplied by it. Raises `ValueError` with the reason for weights
    in another packed form and for a pickle that holds anything else, and what `read_safetensors` raises for a broken
    file.
    """
    found: Iterable[tuple[str, torch.Tensor]]
    if is_safetensors(file):
        found = read_safetensors(file, device=device, wanted=_is_weight)
    else:
        found = ((name, tensor) for name, tensor in tensors_in_pickle(file).items() if _is_weight(name))
    # On a GPU each tensor gets memory of its own, so that the memory of its piece of the file can be given back.
    copy = device.type != "cpu"
    tensors: Tensors = {}
    for name, tensor in found:
        # In half precision a small scale would lose digits.
        wanted = dtype if tensor.is_floating_point() and not name.endswith(SCALES) else tensor.dtype
        tensors[usual_name(name)] = tensor.to(device).to(wanted, copy=copy)
    return _multiplied(tensors, dtype)


def _multiplied(tensors: Tensors, dtype: torch.dtype) -> Tensors:
    """`tensors` without scales. Raises `ValueError`, with the reason, for weights that no single scale makes whole."""
    if packed := next((name for name in tensors if name.endswith(_PACKED)), None):
        raise ValueError(f"its weights are packed in a form that is not supported ({packed})")
    for name in [name for name in tensors if name.endswith(_FORMAT)]:
        _check_format(tensors[name])
    for name in [name for name in tensors if name.endswith(SCALES)]:
        scale, layer = tensors.pop(name).float(), name.rpartition(".")[0]
        weight = tensors.get(f"{layer}.weight")
        if weight is None:
            raise ValueError(f"it has a scale for {layer}, but not its weight")
        if scale.numel() not in (1, len(weight)) or not weight.is_floating_point():
            raise ValueError(f"the weights of {layer} are packed in a form that is not supported")
        scale = scale.reshape(-1, *[1] * (weight.dim() - 1))
        tensors[f"{layer}.weight"] = (weight.float() * scale).to(dtype)
    for name, tensor in tensors.items():
        if name.endswith(".weight") and not tensor.is_floating_point():
            raise ValueError(f"its weights are packed in a form that is not supported ({name} is {tensor.dtype})")
    return {name: tensor for name, tensor in tensors.items() if not name.endswith(_BESIDE_SCALES)}


def _check_format(note: torch.Tensor) -> None:
    """Raises `ValueError` when ComfyUI's note on a layer names another form than numbers of eight bits."""
    try:
        form = str(read_json(bytes(note.cpu().to(torch.uint8).tolist()))["format"])
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError("its notes on how its weights are packed cannot be read") from error
    if not form.startswith("float8_"):
        raise ValueError(f"its weights are packed as {form[:40]}, which is not supported")


def _is_weight(name: str) -> bool:
    return not name.startswith(AVERAGE)
