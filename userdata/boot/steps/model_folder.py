"""Makes a folder of downloaded weights one that diffusers loads: with configuration, tokenizer and indices of parts."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any, Dict

from userdata.boot.machine.step_error import StepError

TOKENIZER = "stable-diffusion-v1/tokenizer"
PART = re.compile(r"(.+)-\d{5}-of-\d{5}\.safetensors")
LONGEST_HEADER = 100 << 20


def complete_model_folder(folder: Path, layouts: Path, layout: str) -> None:
    """Adds to `folder` what its weights need: `layouts/<layout>/`, CLIP's tokenizer, and an index of each set of parts.

    Raises `StepError` when the bundle lacks something or a part is no safetensors file.
    """
    try:
        shutil.copytree(layouts / layout, folder, dirs_exist_ok=True)
        shutil.copytree(layouts / TOKENIZER, folder / "tokenizer", dirs_exist_ok=True)
    except OSError as error:
        raise StepError(f"The bundle is incomplete: {error}. Deploy again from a whole checkout.") from error
    parts: Dict[Path, Dict[str, str]] = {}
    for file in sorted(folder.glob("*/*.safetensors")):
        match = PART.fullmatch(file.name)
        if match:
            tensors = parts.setdefault(file.with_name(f"{match[1]}.safetensors.index.json"), {})
            tensors.update(dict.fromkeys(_tensors(file), file.name))
    for index, tensors in parts.items():
        index.write_text(json.dumps({"metadata": {}, "weight_map": tensors}, indent=1) + "\n", "utf-8")


def _tensors(file: Path) -> Dict[str, Any]:
    """The header of a safetensors file: 8 bytes with its length, little-endian, and JSON."""
    with file.open("rb") as content:
        length = int.from_bytes(content.read(8), "little")
        if length > LONGEST_HEADER:
            raise StepError(f"{file} is no safetensors file. Delete it and start the instance again.")
        header: Dict[str, Any] = json.loads(content.read(length))
    header.pop("__metadata__", None)
    return header
