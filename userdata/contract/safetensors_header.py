"""Reads the header of a .safetensors file.

The format (https://github.com/huggingface/safetensors#format): 8 bytes with the header's length, little end first; the
header, a JSON object of each tensor's type, shape, and place among what follows; and that, the tensors' bytes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable, Dict, Tuple

from userdata.contract.outside import read_json

# The library's own limit.
LONGEST_HEADER = 100_000_000
LENGTH_BYTES = 8


def read_header(file: Path) -> Tuple[Dict[str, Any], int]:
    """What the header says of each tensor, by its name, and where in the file the tensors' bytes begin.

    Raises `OSError`, and `ValueError` for a file that has no such header.
    """
    with file.open("rb") as content:

        def beginning(count: int) -> bytes:
            content.seek(0)
            return content.read(count)

        header, _ = header_in(beginning)
        return header, content.tell()


def header_in(beginning: Callable[[int], bytes]) -> Tuple[Dict[str, Any], Dict[str, str]]:
    """What the header says of each tensor, by its name, and its metadata.

    `beginning` reads so many bytes of the file from its start. Raises what that raises, and `ValueError` for a file
    that has no such header.
    """
    length = int.from_bytes(beginning(LENGTH_BYTES)[:LENGTH_BYTES], "little")
    if length > LONGEST_HEADER:
        raise ValueError("the header is too long")
    header = read_json(beginning(LENGTH_BYTES + length)[LENGTH_BYTES:], most_bytes=LONGEST_HEADER)
    metadata = header.pop("__metadata__", None)
    return header, metadata if isinstance(metadata, dict) else {}
