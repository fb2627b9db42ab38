"""How the denoising network runs: plainly, or as a CUDA graph, of fused kernels where they work."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from diffusers import DiffusionPipeline, UNet2DConditionModel

from userdata.worker.cuda_graph import graphed
from userdata.worker.drawn_with import Execution
from userdata.worker.fused_blocks import fused, fused_kernels_work

# Recording costs about three plain steps, and a plain step of a large GPU waits for the CPU that starts its kernels.
STEPS_WORTH_A_RECORDING = 8


def choose_execution(pipeline: DiffusionPipeline, steps: int) -> Execution:
    """The fastest way for `steps` denoising steps of one shape on the device of `pipeline`."""
    if pipeline.device.type != "cuda" or steps < STEPS_WORTH_A_RECORDING:
        return "eager"
    if isinstance(denoising_network(pipeline), UNet2DConditionModel) and fused_kernels_work(pipeline.device):
        return "fused"
    return "cuda_graph"


@contextmanager
def executing(pipeline: DiffusionPipeline, execution: Execution) -> Iterator[None]:
    """The networks of `pipeline` run as `execution` says while this is open."""
    with ExitStack() as open_while_drawing:
        if execution == "fused":
            open_while_drawing.enter_context(fused(pipeline))
        if execution in ("fused", "cuda_graph"):
            open_while_drawing.enter_context(graphed(denoising_network(pipeline)))
        yield


def denoising_network(pipeline: DiffusionPipeline) -> Any:
    """The network that runs at every step: the U-Net, or the transformer of newer models."""
    return pipeline.transformer if "transformer" in pipeline.components else pipeline.unet
