"""Puts a trained model into the box: `python -m demo_model.publishing.publish FOLDER`.

The box is `userdata/models/demo/`, which travels with the bundle; the catalogue gets the hash that the boot checks.
"""

from __future__ import annotations

import argparse
import json
import logging
import shutil
import sys
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from demo_model.publishing import model_licence
from scripts.interruption.scratch_folder import scratch_folder
from scripts.interruption.signals import ends_in_a_sentence
from userdata.boot.steps.bundled_model import folder_sha256
from userdata.contract.bundle import BUNDLE

NAME = "demo"
BOX = BUNDLE.models / NAME
# The repository is cloned and the bundle uploaded with it.
MOST_BYTES = 16_000_000
WEIGHTS = (
    "text_encoder/model.safetensors",
    "unet/diffusion_pytorch_model.safetensors",
    "vae/diffusion_pytorch_model.safetensors",
)
FILES = (
    "model_index.json",
    "scheduler/scheduler_config.json",
    "text_encoder/config.json",
    "tokenizer/merges.txt",
    "tokenizer/special_tokens_map.json",
    "tokenizer/tokenizer_config.json",
    "tokenizer/vocab.json",
    "unet/config.json",
    "vae/config.json",
    *WEIGHTS,
)

logger = logging.getLogger(__name__)


class UnfitModelError(Exception):
    """The folder holds no model that can be put into the box."""


def publish(folder: Path, *, box: Path = BOX, catalogue: Path = BUNDLE.catalogue) -> str:
    """Replaces the model in `box` by the one in `folder`, with its licence, and returns the hash of its files.

    What else is in `folder` stays there. Raises `UnfitModelError`, before anything is changed, when a file is missing,
    weights are not finite numbers in half precision, or all of it is larger than `MOST_BYTES`.
    """
    _check_files(folder)
    for file in WEIGHTS:
        _check_weights(folder / file)
    box.parent.mkdir(parents=True, exist_ok=True)
    with scratch_folder(f".{box.name}-", box.parent) as scratch:
        packed = scratch / box.name
        for file in FILES:
            target = packed / file
            target.parent.mkdir(parents=True, exist_ok=True)
            # The content alone: the worker is another user than the one who trained.
            shutil.copyfile(folder / file, target)
        (packed / model_licence.NAME).write_text(model_licence.licence_text(), "utf-8")
        _check_size(packed)
        sha256 = folder_sha256(packed)
        if box.exists():
            shutil.rmtree(box)
        packed.rename(box)
    _write_hash(catalogue, sha256)
    return sha256


def _check_files(folder: Path) -> None:
    missing = [file for file in FILES if not (folder / file).is_file()]
    if missing:
        raise UnfitModelError(
            f"{folder} is no whole model: it lacks {', '.join(missing)}. Name the folder "
            "that demo_model.training.train wrote to."
        )


def _check_weights(file: Path) -> None:
    try:
        weights = load_file(file)
    except SafetensorError as error:
        raise UnfitModelError(f"{file} cannot be read ({error}). Copy the trained model's folder again.") from error
    for name, tensor in weights.items():
        if tensor.dtype != torch.float16:
            raise UnfitModelError(
                f"{name} in {file} is {tensor.dtype}, not torch.float16. Write it with demo_model.training.export."
            )
        if not bool(tensor.isfinite().all()):
            raise UnfitModelError(f"{name} in {file} has values that are no finite numbers. Train the model again.")


def _check_size(folder: Path) -> None:
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    if size > MOST_BYTES:
        raise UnfitModelError(
            f"The model takes {size / 1e6:.1f} MB; at most {MOST_BYTES / 1e6:.0f} go into the box. Make it smaller in "
            "demo_model/training/architecture.py."
        )


def _write_hash(catalogue: Path, sha256: str) -> None:
    entries = json.loads(catalogue.read_text("utf-8"))
    entries[NAME]["bundled_sha256"] = sha256
    catalogue.write_text(json.dumps(entries, indent=2, ensure_ascii=False) + "\n", "utf-8")


def main() -> int:
    """The exit code: 1 when the folder holds no model for the box."""
    parser = argparse.ArgumentParser(
        prog="python -m demo_model.publishing.publish", description="Put a trained model into the box."
    )
    parser.add_argument("folder", type=Path, help="the folder that demo_model.training.train wrote the model to")
    try:
        sha256 = publish(parser.parse_args().folder)
    except UnfitModelError as error:
        logger.error("publish: %s", error)
        return 1
    size = sum(path.stat().st_size for path in BOX.rglob("*") if path.is_file())
    logger.info("%s: %.1f MB, SHA-256 %s", BOX, size / 1e6, sha256)
    return 0


if __name__ == "__main__":
    with ends_in_a_sentence():
        logging.basicConfig(level=logging.INFO, format="%(message)s")
        sys.exit(main())
