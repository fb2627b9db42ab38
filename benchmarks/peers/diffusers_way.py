"""Draws as diffusers' own pipelines do: plainly, or compiled as its documentation advises."""

from __future__ import annotations

from typing import Any

import torch
from diffusers import DiffusionPipeline

from userdata.job.image_request import image_requests
from userdata.job.job import Job
from userdata.worker.drawing.generate import prepare_sampler, tokens_read


def as_in_diffusers(pipeline: DiffusionPipeline) -> None:
    """Leaves nothing of the product's on `pipeline`: all networks on the card, decoded as one batch."""
    device = pipeline.vae.device
    pipeline.to(device)
    pipeline.vae.disable_slicing()


def call(pipeline: DiffusionPipeline, job: Job, *, output: str = "pil") -> Any:
    """The images of `job` as one batch, with the texts encoded in the call, by `pipeline` and the job's sampler."""
    requests = image_requests(job)
    one, own = requests[0], pipeline.scheduler
    prepare_sampler(pipeline, one, own.config)
    options: dict[str, Any] = {"max_sequence_length": tokens_read(pipeline)} if _is_transformer(pipeline) else {}
    flat = "ZImage" in type(pipeline).__name__ and one.scale <= 1
    try:
        return pipeline(
            prompt=[request.prompt for request in requests],
            height=one.H,
            width=one.W,
            num_inference_steps=one.ddim_steps,
            guidance_scale=0.0 if flat else one.scale,
            generator=[torch.Generator("cpu").manual_seed(request.seed) for request in requests],
            output_type=output,
            **options,
        ).images
    finally:
        pipeline.scheduler = own


def compile_networks(pipeline: DiffusionPipeline) -> None:
    """Lets the network that denoises, and the decoder, be compiled when they are called.

    A U-Net as a whole, with its recordings; of a transformer the repeated blocks, which are compiled once for all.
    """
    import torch._inductor.config

    torch._inductor.config.conv_1x1_as_mm = True
    whole = {"mode": "reduce-overhead", "fullgraph": True, "dynamic": False}
    if _is_transformer(pipeline):
        pipeline.transformer.compile_repeated_blocks(fullgraph=True)
        pipeline.vae.decoder.compile(fullgraph=True)
        return
    pipeline.unet.to(memory_format=torch.channels_last)
    if "XL" in type(pipeline).__name__:
        _decode_in_single_precision(pipeline)
    pipeline.vae.to(memory_format=torch.channels_last)
    pipeline.fuse_qkv_projections()
    pipeline.unet.compile(**whole)
    pipeline.vae.decoder.compile(**whole)


def _decode_in_single_precision(pipeline: DiffusionPipeline) -> None:
    """As the pipeline does by itself for each batch, which would compile the decoder again for each."""
    pipeline.vae.to(torch.float32)
    decode = pipeline.vae.decode
    pipeline.vae.decode = lambda latents, *rest, **options: decode(latents.float(), *rest, **options)


def _is_transformer(pipeline: DiffusionPipeline) -> bool:
    return "transformer" in pipeline.components
