"""Reads the header of a .safetensors file.

The format (https://github.com/huggingface/safetensors#format): 8 bytes with the header's length, little end first; the
header, a JSON object of each tensor's type, shape, and place among what follows; and that, the tensors' bytes.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Tuple

from userdata.contract.outside import MOST, read_json

# The library takes 100 MB, of which Python would make 2 GB. The longest that trainers write have a few.
LONGEST_HEADER = 16 * 1024 * 1024
LENGTH_BYTES = 8
MOST_DIMENSIONS = 16
METADATA = "__metadata__"


class Entry(NamedTuple):
    """What the header says of a tensor: its type, its shape, and where its bytes begin and end behind the header."""

    dtype: str
    shape: Tuple[int, ...]
    begin: int
    end: int


def read_header(file: Path) -> Tuple[Dict[str, Entry], Dict[str, str], int]:
    """The same as `header_in` of a file, and where in the file the tensors' bytes begin.

    Raises `OSError`, and `ValueError` for a file that has no such header.
    """
    with file.open("rb") as content:

        def beginning(count: int) -> bytes:
            content.seek(0)
            return content.read(count)

        return (*header_in(beginning), content.tell())


def header_in(beginning: Callable[[int], bytes]) -> Tuple[Dict[str, Entry], Dict[str, str]]:
    """What the header says of each tensor, by its name, and its metadata, as far as they are texts.

    `beginning` reads so many bytes of the file from its start. Raises what that raises, and `ValueError` for a file
    that has no such header.
    """
    length = int.from_bytes(beginning(LENGTH_BYTES)[:LENGTH_BYTES], "little")
    if length > LONGEST_HEADER:
        raise ValueError("the header is too long")
    header = read_json(beginning(LENGTH_BYTES + length)[LENGTH_BYTES:], most_bytes=LONGEST_HEADER)
    metadata = header.pop(METADATA, None)
    texts = metadata if isinstance(metadata, dict) else {}
    entries = {name: _entry(name, told) for name, told in header.items()}
    return entries, {name: text for name, text in texts.items() if isinstance(text, str)}


def _entry(name: str, told: Any) -> Entry:
    found = told if isinstance(told, dict) else {}
    dtype, shape, place = found.get("dtype"), _counts(found.get("shape")), _counts(found.get("data_offsets"))
    if not isinstance(dtype, str) or shape is None or place is None or len(place) != 2 or place[0] > place[1]:
        raise ValueError(f"what it says of {name[:80]} is not a type, a shape and a place")
    if len(shape) > MOST_DIMENSIONS or math.prod(shape) > MOST:
        raise ValueError(f"{name[:80]} has more numbers than any file can hold")
    return Entry(dtype, tuple(shape), *place)


def _counts(found: Any) -> Optional[List[int]]:
    whole = isinstance(found, list) and all(type(one) is int and 0 <= one <= MOST for one in found)
    return found if whole else None
