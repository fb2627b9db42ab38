"""The large text encoder of a model of transformers, which waits in the machine's memory while the card draws.

A language model of 4 to 5 billion weights takes as much of the card as the network that draws, and works for a second
of a run. So it is loaded into the machine's memory, copied to the card to encode, and its copy is dropped afterwards:
nothing is computed otherwise, and the card has room for more images at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from diffusers import DiffusionPipeline
from torch import nn

# The part of each pipeline; FLUX.1 has CLIP beside it, which is small and stays.
LARGE_ENCODERS = {
    "FluxPipeline": "text_encoder_2",
    "Flux2KleinPipeline": "text_encoder",
    "ZImagePipeline": "text_encoder",
    "ChromaPipeline": "text_encoder",
}


def large_encoder(pipeline: DiffusionPipeline) -> nn.Module | None:
    """The large text encoder of `pipeline`, for image to image too; None where its encoders are CLIP's alone."""
    components: dict[str, Any] = pipeline.components
    if "transformer" not in components:
        return None
    found: nn.Module = components.get("text_encoder_2") or components["text_encoder"]
    return found


@contextmanager
def moved_to(device: torch.device, module: nn.Module) -> Iterator[None]:
    """While this is open, `module` is on `device`. Afterwards it has the very tensors that it had before.

    So nothing is copied back. What is changed in place meanwhile is lost where the device is another one.
    """
    places: list[dict[str, Any]] = [
        tensors for part in module.modules() for tensors in (part._parameters, part._buffers)
    ]
    own = [
        (tensors, name, tensor, tensor.data)
        for tensors in places
        for name, tensor in tensors.items()
        if tensor is not None
    ]
    module.to(device)
    try:
        yield
    finally:
        for tensors, name, tensor, data in own:
            tensor.data = data
            tensors[name] = tensor
