"""Checks that a model fits into GPU memory before loading it, because a failure while loading costs minutes."""

from __future__ import annotations

import math
from pathlib import Path

import torch

from userdata.bill.units import GIB
from userdata.contract.catalogue import FULL, OFF, Model, second_pass_gib, usual_model
from userdata.job.run_error import RunError
from userdata.worker.model.checkpoint import checkpoint_in, layout_of, shapes_of
from userdata.worker.model.memory_need import memory_need_gib
from userdata.worker.model.tensor_names import AVERAGE

HALF_PRECISION_BYTES = 2
SINGLE_PRECISION_BYTES = 4
# Pipelines whose autoencoder overflows in half precision, so that diffusers decodes in single precision.
IN_SINGLE_PRECISION = frozenset({"StableDiffusionXLPipeline"})
AUTOENCODER = "first_stage_model."


def check_memory(
    model: Model,
    folder: Path,
    device: torch.device,
    *,
    instance_type: str,
    precision: str,
    second_pass_pixels: int = 0,
    kept: str = OFF,
) -> None:
    """Raises `RunError` when `device` is a GPU and has less memory than `model` needs.

    `precision` is the job's: `full` takes twice the memory. `kept` is the type that the weights are kept in. For a
    person's own checkpoint the need follows from its tensors, and from the size that their layout is made for.
    """
    if device.type != "cuda":
        return
    has_gib = torch.cuda.get_device_properties(device).total_memory / GIB
    needs_gib = model.memory_need(precision, quantized=kept) or _need_of(folder, precision)
    needs_gib += second_pass_gib(precision, second_pass_pixels)
    if needs_gib > has_gib:
        raise RunError(
            f"{model.title} needs {needs_gib:.1f} GiB of GPU memory, but the GPU of {instance_type} has "
            f"{has_gib:.1f}. Deploy again with an InstanceType whose GPU has more (docs/models.md)."
        )


def _need_of(folder: Path, precision: str) -> float:
    checkpoint = checkpoint_in(folder)
    shapes = shapes_of(checkpoint)
    usual = usual_model(layout_of(checkpoint, shapes))
    usual_bytes = SINGLE_PRECISION_BYTES if precision == FULL else HALF_PRECISION_BYTES
    decoder_bytes = SINGLE_PRECISION_BYTES if usual.pipeline in IN_SINGLE_PRECISION else usual_bytes
    weights_bytes = sum(
        math.prod(shape) * (decoder_bytes if name.startswith(AUTOENCODER) else usual_bytes)
        for name, shape in shapes.items()
        if not name.startswith(AVERAGE)
    )
    return memory_need_gib(weights_bytes=weights_bytes, native_size=usual.native_size, decoder_bytes=decoder_bytes)
