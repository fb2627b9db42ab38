"""Runs the denoising network plainly, as a CUDA graph, or with fused kernels."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from diffusers import DiffusionPipeline, UNet2DConditionModel

from userdata.record.drawn_with import Execution
from userdata.worker.kernels.cuda_graph import graphed
from userdata.worker.kernels.drawing_time import ways_by_time, work_of
from userdata.worker.kernels.fused_blocks import fused
from userdata.worker.kernels.kernel_check import fused_kernels_work

# Of one chunk, of two, and so on.
SHAPES_OF_TEXTS = 4


def choose_execution(
    pipeline: DiffusionPipeline,
    *,
    steps: int,
    images: int,
    pixels: int,
    guided: bool,
    prepared: Execution | None = None,
) -> Execution:
    """The fastest way for `images` images of `pixels` and `steps` steps each on the device of `pipeline`.

    `prepared` is how the network runs by now, if it is prepared for these very images. A process that has its kernels
    and recordings draws them otherwise than a fresh one, which the images' records tell.
    """
    device, work = pipeline.device, work_of(type(pipeline).__name__)
    if device.type != "cuda" or work is None:
        return "eager"
    first, second, *_ = ways_by_time(
        device, work, steps=steps, images=images, pixels=pixels, guided=guided, prepared=prepared
    )
    return second if first == "fused" and not fused_kernels_work(device, of_transformer=not work.unet) else first


@contextmanager
def executing(pipeline: DiffusionPipeline, execution: Execution, *, shapes: int = 1) -> Iterator[None]:
    """While this is open, the networks of `pipeline` run as `execution` says, on maps of so many `shapes` in turn."""
    of_transformer = is_transformer(pipeline)
    with ExitStack() as open_while_drawing:
        if execution == "fused":
            open_while_drawing.enter_context(fused(pipeline))
            if not of_transformer and _decoder_stays_where_it_is(pipeline):
                open_while_drawing.enter_context(graphed(pipeline.vae.decoder))
        elif isinstance(denoising_network(pipeline), UNet2DConditionModel):
            open_while_drawing.enter_context(_attention_ready_made())
        if execution == "cuda_graph" or (execution == "fused" and not of_transformer):
            open_while_drawing.enter_context(graphed(denoising_network(pipeline), keep=shapes))
        yield


@contextmanager
def texts_recorded(pipeline: DiffusionPipeline) -> Iterator[None]:
    """While this is open, CLIP's text encoders run as CUDA graphs.

    Each text of its own takes the CPU 20 to 30 ms to encode, a tenth of an image of Stable Diffusion v1. A recording
    takes as long, so that it is for a worker that draws one job after the other.
    """
    with ExitStack() as open_while_drawing:
        for name in ("text_encoder", "text_encoder_2"):
            if (encoder := pipeline.components.get(name)) is not None:
                open_while_drawing.enter_context(graphed(encoder, keep=SHAPES_OF_TEXTS))
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
    return pipeline.transformer if is_transformer(pipeline) else pipeline.unet


def can_be_fused(pipeline: DiffusionPipeline) -> bool:
    """Whether there are fused kernels for the network of `pipeline`, and a GPU for them."""
    return pipeline.device.type == "cuda" and work_of(type(pipeline).__name__) is not None


def is_transformer(pipeline: DiffusionPipeline) -> bool:
    """Whether the network of `pipeline` is a transformer, whose kernels are others than a U-Net's."""
    return "transformer" in pipeline.components
