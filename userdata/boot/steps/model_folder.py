"""Completes a folder of downloaded weights, so that diffusers loads it: configuration, tokenizer, indices of parts."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Dict

from userdata.boot.machine.step_error import StepError
from userdata.contract.bundle import Bundle
from userdata.contract.safetensors_header import read_header

PART = re.compile(r"(.+)-\d{5}-of-\d{5}\.safetensors")


def complete_model_folder(folder: Path, bundle: Bundle, layout: str) -> None:
    """Adds what the weights in `folder` need: the files of `layout`, CLIP's tokenizer, an index of each set of parts.

    The tokenizer of another text encoder comes with the weights.

    Raises `StepError` when the bundle lacks something or a part is no safetensors file.
    """
    try:
        shutil.copytree(bundle.models / layout, folder, dirs_exist_ok=True)
        if "CLIPTokenizer" in (folder / "model_index.json").read_text("utf-8"):
            shutil.copytree(bundle.tokenizer, folder / "tokenizer", dirs_exist_ok=True)
    except OSError as error:
        raise StepError(f"The bundle is incomplete: {error}. Deploy again from a whole checkout.") from error
    parts: Dict[Path, Dict[str, str]] = {}
    for file in sorted(folder.glob("*/*.safetensors")):
        match = PART.fullmatch(file.name)
        if match:
            try:
                header, _, _ = read_header(file)
            except ValueError as error:
                raise StepError(
                    f"{file} is no safetensors file ({error}), though it is the one that the catalogue lists. Choose "
                    "another Model."
                ) from error
            tensors = parts.setdefault(file.with_name(f"{match[1]}.safetensors.index.json"), {})
            tensors.update(dict.fromkeys(header, file.name))
    for index, tensors in parts.items():
        index.write_text(json.dumps({"metadata": {}, "weight_map": tensors}, indent=1) + "\n", "utf-8")
