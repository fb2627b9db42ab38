"""Makes the model `tiny`: random weights in the layout of Stable Diffusion v1, the same bytes on every machine.

    python -m userdata.worker.model.tiny_model FOLDER

Its text encoder, UNet, VAE, tokenizer and scheduler are the real classes with the real number of levels, only narrow:
every step between a prompt and a picture is the real one, in seconds and without a download. The pictures are noise.
One thing differs from the original: the UNet's two finest levels attend to the prompt only, because attention over all
of their 5,120 positions would take three quarters of the time on a CPU and draws no better noise.

The weights are raw output of numpy's PCG64, whose stream is promised not to change, scaled by sums, products and
square roots, which IEEE 754 defines to the last bit. Rejected: torch's own initialisation, whose numbers have changed
between releases, and anything that calls the C library's logarithms and sines, which differ between machines.

A file lists the shapes of the tensors, and a test compares the file with the classes. Asking the classes themselves
would import torch and diffusers, which takes ten times as long as all the rest.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
import math
import shutil
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy
from numpy.typing import NDArray
from safetensors.numpy import save_file

from userdata.contract.bundle import BUNDLE

CONFIGURATION = BUNDLE.models / "tiny"
FILES = {
    "text_encoder": "model.safetensors",
    "unet": "diffusion_pytorch_model.safetensors",
    "vae": "diffusion_pytorch_model.safetensors",
}

# Chosen so that the pictures have full contrast, but hardly a pixel at an end of its range. A test checks both.
LAST_LAYER_GAIN = {"decoder.conv_out.weight": 0.5}

# Seconds. Who makes the model takes some of them; a folder that is older has been left by a process that was killed.
SURELY_LEFT = 3600

logger = logging.getLogger(__name__)


def make_tiny_model(folder: Path) -> None:
    """Writes the model into `folder`, whole or not at all. Leaves a folder alone that holds the model already."""
    if (folder / "model_index.json").exists():
        logger.info("The model exists already: %s", folder)
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    for left in folder.parent.glob(f".{folder.name}-*"):
        if time.time() - left.stat().st_mtime > SURELY_LEFT:
            shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as scratch:
        unfinished = Path(scratch) / folder.name
        shutil.copytree(CONFIGURATION, unfinished)
        shutil.copytree(BUNDLE.tokenizer, unfinished / "tokenizer")
        for component, shapes in read_shapes().items():
            weights = {name: _draw(f"{component}.{name}", shape) for name, shape in shapes.items()}
            file = unfinished / component / FILES[component]
            save_file(weights, file, metadata={"format": "pt"})
            # safetensors writes for the owner only. The boot makes the model, and the worker is another user.
            file.chmod(0o644)
        if folder.exists():
            shutil.rmtree(folder)
        unfinished.rename(folder)
    logger.info("Made the model: %s", folder)


def read_shapes() -> dict[str, dict[str, list[int]]]:
    """The shape of every tensor by its name, for each component with weights."""
    shapes: dict[str, dict[str, list[int]]] = json.loads(BUNDLE.tiny_shapes.read_text("utf-8"))
    return shapes


def _draw(name: str, shape: Sequence[int]) -> NDArray[numpy.float16]:
    """The tensor called `name`: matrices and kernels uniform with variance 1/inputs, norms 1, biases 0."""
    if len(shape) == 1:
        return numpy.full(tuple(shape), 1 if name.endswith("weight") else 0, numpy.float16)
    count = math.prod(shape)
    stream = numpy.random.PCG64(int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big"))
    sixteen_bits = stream.random_raw(-(-count // 4)).astype("<u8").view("<u2")[:count]
    from_minus_one_to_one = (sixteen_bits.astype(numpy.float64) * 2 + 1) / 65536 - 1
    inputs = 1 if "embedding" in name else math.prod(shape[1:])
    gain = LAST_LAYER_GAIN.get(name.partition(".")[2], 1.0)
    drawn: NDArray[numpy.float16] = (
        (from_minus_one_to_one * (gain * math.sqrt(3 / inputs))).astype(numpy.float16).reshape(shape)
    )
    return drawn


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    parser = argparse.ArgumentParser(description="Make the model `tiny`.")
    parser.add_argument("folder", type=Path, help="the folder to write it to")
    make_tiny_model(parser.parse_args().folder)
