"""How the denoising network runs: plainly, or as a CUDA graph."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from diffusers import DiffusionPipeline

from userdata.worker.cuda_graph import graphed
from userdata.worker.drawn_with import Execution

# Recording costs about three plain steps, and a plain step of a large GPU waits for the CPU that starts its kernels.
STEPS_WORTH_A_RECORDING = 8


def choose_execution(device: torch.device, steps: int) -> Execution:
    """The fastest way for `steps` denoising steps of one shape on `device`."""
    return "cuda_graph" if device.type == "cuda" and steps >= STEPS_WORTH_A_RECORDING else "eager"


@contextmanager
def executing(pipeline: DiffusionPipeline, execution: Execution) -> Iterator[None]:
    """The denoising network of `pipeline` runs as `execution` says while this is open."""
    if execution == "cuda_graph":
        with graphed(denoising_network(pipeline)):
            yield
    else:
        yield


def denoising_network(pipeline: DiffusionPipeline) -> Any:
    """The network that runs at every step: the U-Net, or the transformer of newer models."""
    return pipeline.transformer if "transformer" in pipeline.components else pipeline.unet
