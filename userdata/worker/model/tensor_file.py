"""Looks into a file of tensors, of safetensors or of torch.save: by its content, because people rename files."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import torch

from userdata.contract.safetensors_header import Entry, read_header
from userdata.worker.model.mistaken import ZIP, mistaken_for
from userdata.worker.model.pickle_file import load_pickle
from userdata.worker.model.safetensors_file import DTYPES
from userdata.worker.model.tensor_names import Shapes, usual_name

_LENGTH_BYTES = 8
_PICKLE = b"\x80"


def is_safetensors(file: Path) -> bool:
    """Whether `file` is to be read as safetensors: by its first bytes, and where these tell nothing, by its name.

    A file of safetensors begins with the length of its header, which is a JSON object. Raises `OSError`.
    """
    with file.open("rb") as content:
        start = content.read(_LENGTH_BYTES + 1)
    if start[_LENGTH_BYTES:] == b"{" and int.from_bytes(start[:_LENGTH_BYTES], "little") <= file.stat().st_size:
        return True
    return not start.startswith((ZIP, _PICKLE)) and file.suffix.lower() == ".safetensors"


def look_into(file: Path) -> tuple[Shapes, Mapping[str, str]]:
    """The shape of every tensor by its usual name, and the metadata of the header, empty for a pickle.

    Raises `ValueError` with the reason when the file is neither, and what `load_pickle` raises.
    """
    try:
        if is_safetensors(file):
            header, metadata = _header_of(file)
            return {usual_name(name): entry.shape for name, entry in header.items()}, metadata
    except OSError as error:
        raise ValueError(f"it cannot be read ({error.strerror})") from error
    return {name: tuple(tensor.shape) for name, tensor in tensors_in_pickle(file).items()}, {}


def _header_of(file: Path) -> tuple[Mapping[str, Entry], Mapping[str, str]]:
    """What the header says of each tensor, and its metadata. Raises `ValueError` for a file that is not whole.

    Bytes behind the last tensor do not matter. The library refuses them.
    """
    size = file.stat().st_size
    try:
        header, metadata, begin = read_header(file)
    except ValueError as error:
        raise ValueError(mistaken_for(file) or f"it is damaged, or cut off ({error})") from error
    for name, entry in header.items():
        bytes_each = DTYPES[entry.dtype].itemsize if entry.dtype in DTYPES else 0
        if bytes_each and entry.end - entry.begin != math.prod(entry.shape) * bytes_each:
            raise ValueError(f"it is damaged: {name} has another size than its shape tells")
        if begin + entry.end > size:
            raise ValueError(f"it is cut off: {name} ends at byte {begin + entry.end:,}, and the file at {size:,}")
    return header, metadata


def tensors_in_pickle(file: Path) -> dict[str, torch.Tensor]:
    """The tensors of a file of torch.save by their usual names, mapped; those of an embedding have its key before them.

    Raises what `load_pickle` raises, and `ValueError` with the reason when the file holds no tensors by name.
    """
    content = load_pickle(file)
    tensors = content.get("state_dict", content) if isinstance(content, dict) else None
    if not isinstance(tensors, dict):
        raise ValueError("it holds no state_dict")
    # The web interface's embeddings have their tensor one level lower, beside its name.
    if isinstance(inner := tensors.get("string_to_param"), dict):
        tensors = {f"string_to_param.{name}": tensor for name, tensor in inner.items()}
    found = {name: one for name, one in tensors.items() if isinstance(name, str) and isinstance(one, torch.Tensor)}
    for name, tensor in found.items():
        _check_numbers(name, tensor)
    return {usual_name(name): tensor for name, tensor in found.items()}


def _check_numbers(name: str, tensor: torch.Tensor) -> None:
    """Raises `ValueError` for a tensor without all of its numbers in the file: such a one can be of any size."""
    dense = tensor.layout == torch.strided and tensor.device.type == "cpu" and not tensor.is_quantized
    if not dense or tensor.numel() * tensor.itemsize > tensor.untyped_storage().nbytes():
        raise ValueError(f"its tensor {name[:80]!r} has not each of its numbers in the file")
