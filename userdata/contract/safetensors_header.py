"""Reads the header of a .safetensors file.

The format (https://github.com/huggingface/safetensors#format): 8 bytes with the header's length, little end first; the
header, a JSON object of each tensor's type, shape, and place among what follows; and that, the tensors' bytes.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Dict, Tuple

# The library's own limit.
LONGEST_HEADER = 100_000_000


def read_header(file: Path) -> Tuple[Dict[str, Any], int]:
    """What the header says of each tensor, by its name, and where in the file the tensors' bytes begin.

    Raises `OSError`, and `ValueError` for a file that has no such header.
    """
    with file.open("rb") as content:
        length = int.from_bytes(content.read(8), "little")
        if length > LONGEST_HEADER:
            raise ValueError("the header is too long")
        header = json.loads(content.read(length))
        if not isinstance(header, dict):
            raise ValueError("the header is no JSON object")
        header.pop("__metadata__", None)
        return header, content.tell()
