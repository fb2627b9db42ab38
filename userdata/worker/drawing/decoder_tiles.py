"""Decodes an image in overlapping tiles when the GPU's memory does not hold the decoder's maps of the whole."""

from __future__ import annotations

from diffusers import DiffusionPipeline

from userdata.job.image_request import ImageRequest


def decode_in_tiles(pipeline: DiffusionPipeline, request: ImageRequest) -> bool:
    """Makes `pipeline` decode in tiles. False when it does already, or when one tile holds the image of `request`.

    The decoder normalises each tile by itself, so that colours differ slightly from those of the whole. The seams are
    blended. This is for images that could not be made otherwise.
    """
    vae = pipeline.vae
    if vae.use_tiling or max(request.H, request.W) <= vae.tile_sample_min_size:
        return False
    vae.enable_tiling()
    return True
