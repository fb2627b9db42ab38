"""Runs the denoising network plainly, as a CUDA graph, or as a CUDA graph of fused kernels."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from diffusers import DiffusionPipeline, FluxTransformer2DModel, UNet2DConditionModel

from userdata.record.drawn_with import Execution
from userdata.worker.kernels.cuda_graph import graphed
from userdata.worker.kernels.fused_blocks import fused
from userdata.worker.kernels.fusing_pays import fusing_pays
from userdata.worker.kernels.kernel_check import fused_kernels_work

# A recording costs about three plain steps. On a large GPU, a plain step waits for the CPU that starts its kernels.
STEPS_WORTH_A_RECORDING = 8
# The other networks of transformers take lists and masks, which no recording was tried with. Their kernels are so large
# that the CPU keeps ahead of the card.
RECORDED = (UNet2DConditionModel, FluxTransformer2DModel)


def choose_execution(pipeline: DiffusionPipeline, *, steps: int, images: int) -> Execution:
    """The fastest way for `images` images of one shape and `steps` steps each on the device of `pipeline`."""
    network = denoising_network(pipeline)
    if pipeline.device.type != "cuda" or steps < STEPS_WORTH_A_RECORDING or not isinstance(network, RECORDED):
        return "eager"
    fits = isinstance(network, UNet2DConditionModel)
    pays = fits and fusing_pays(pipeline.device, steps=steps, images=images)
    return "fused" if pays and fused_kernels_work(pipeline.device) else "cuda_graph"


@contextmanager
def executing(pipeline: DiffusionPipeline, execution: Execution, *, shapes: int = 1) -> Iterator[None]:
    """While this is open, the networks of `pipeline` run as `execution` says, on maps of so many `shapes` in turn."""
    network = denoising_network(pipeline)
    with ExitStack() as open_while_drawing:
        if execution == "fused":
            open_while_drawing.enter_context(fused(pipeline))
            if _decoder_stays_where_it_is(pipeline):
                open_while_drawing.enter_context(graphed(pipeline.vae.decoder))
        elif isinstance(network, UNet2DConditionModel):
            open_while_drawing.enter_context(_attention_ready_made())
        if execution in ("fused", "cuda_graph"):
            open_while_drawing.enter_context(graphed(network, keep=shapes))
        yield


def _decoder_stays_where_it_is(pipeline: DiffusionPipeline) -> bool:
    """Whether a recording of the decoder stays right, which holds the addresses of the weights and the image's shape.

    The XL pipeline puts a decoder of half precision into single precision for each batch, and back. Tiles at the
    edges have shapes of their own, and each shape would need another recording.
    """
    vae = pipeline.vae
    return not vae.use_tiling and not (hasattr(pipeline, "upcast_vae") and vae.dtype == torch.float16)


@contextmanager
def _attention_ready_made() -> Iterator[None]:
    """While this is open, PyTorch's own kernels compute attention.

    From Hopper on, PyTorch prefers cuDNN's kernels, which are half again as fast. But every process compiles them for
    each of a U-Net's eight shapes, which takes three seconds (docs/performance.md). The networks of newer models have
    one or two shapes and spend most time on attention, so they keep cuDNN's kernels.
    """
    before = torch.backends.cuda.cudnn_sdp_enabled()  # type: ignore[no-untyped-call]
    torch.backends.cuda.enable_cudnn_sdp(False)
    try:
        yield
    finally:
        torch.backends.cuda.enable_cudnn_sdp(before)


def denoising_network(pipeline: DiffusionPipeline) -> Any:
    """The network that runs at every step: the U-Net, or the transformer of newer models."""
    return pipeline.transformer if "transformer" in pipeline.components else pipeline.unet
