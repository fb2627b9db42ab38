"""Reads a .safetensors file in large pieces.

The safetensors library copies its tensors one by one. Each of a thousand copies then waits for Python's interpreter,
with which another thread imports meanwhile, and for its turn on the device. That takes twice as long as the bytes take.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from userdata.contract.safetensors_header import Entry, read_header

# The reading needs as much memory of the device beside the tensors.
PIECE_BYTES = 2**28
DTYPES = {
    "BOOL": torch.bool,
    "U8": torch.uint8,
    "I8": torch.int8,
    "I16": torch.int16,
    "I32": torch.int32,
    "I64": torch.int64,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F32": torch.float32,
    "F64": torch.float64,
}


@dataclass(frozen=True)
class _Entry:
    name: str
    dtype: torch.dtype
    shape: tuple[int, ...]
    begin: int
    end: int


def read_safetensors(
    file: Path, *, device: torch.device, wanted: Callable[[str], bool]
) -> Iterator[tuple[str, torch.Tensor]]:
    """The tensors of `file` on `device` whose names are `wanted`, in their order in the file.

    Each tensor is a part of a larger one, and keeps up to `PIECE_BYTES` of memory, or on the CPU the mapped file.
    Raises `OSError`, and `ValueError` or `RuntimeError` for a file that is broken.
    """
    header, _, begin = read_header(file)
    mapped = torch.from_file(str(file), shared=False, size=file.stat().st_size, dtype=torch.uint8)[begin:]
    entries = [_entry(name, told) for name, told in header.items() if wanted(name)]
    for piece in _pieces(sorted(entries, key=lambda entry: entry.begin)):
        first = piece[0].begin
        there = mapped[first : piece[-1].end].to(device)
        for entry in piece:
            yield entry.name, _tensor(there[entry.begin - first : entry.end - first], entry)


def _entry(name: str, told: Entry) -> _Entry:
    if told.dtype not in DTYPES:
        raise ValueError(f"{name} is of the type {told.dtype}")
    return _Entry(name, DTYPES[told.dtype], told.shape, told.begin, told.end)


def _pieces(entries: Iterable[_Entry]) -> Iterator[list[_Entry]]:
    piece: list[_Entry] = []
    for entry in entries:
        if piece and (entry.begin != piece[-1].end or entry.end - piece[0].begin > PIECE_BYTES):
            yield piece
            piece = []
        piece.append(entry)
    if piece:
        yield piece


def _tensor(content: torch.Tensor, entry: _Entry) -> torch.Tensor:
    if content.storage_offset() % entry.dtype.itemsize:
        # The numbers lie behind numbers of a smaller type, but must begin at a multiple of their own size.
        content = content.clone()
    return content.view(entry.dtype).reshape(entry.shape)
