"""Decodes an image in overlapping tiles when the GPU's memory does not hold the decoder's maps of the whole."""

from __future__ import annotations

from diffusers import DiffusionPipeline

from userdata.job.image_request import ImageRequest


def decode_in_tiles(pipeline: DiffusionPipeline, request: ImageRequest) -> bool:
    """Has `pipeline` decode in tiles from now on; False when it does already, or one tile holds an image of `request`.

    Each tile is normalised by itself, so that colours differ slightly from those of the whole: a way for images that
    could not be made otherwise. The seams are blended.
    """
    vae = pipeline.vae
    if vae.use_tiling or max(request.H, request.W) <= vae.tile_sample_min_size:
        return False
    vae.enable_tiling()
    return True
