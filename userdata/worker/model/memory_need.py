"""Computes how much of a GPU's memory a model takes. Standard library only.

The need is computed, not measured. It is the sum of the weights in the precision that they are loaded in, of what
drawing one image takes, and of the driver's own context. Drawing takes most memory in the autoencoder's decoder, whose
widest maps, 256 channels at full resolution, are larger than any of the denoiser's. Four of these maps are alive at
once in a residual block: its input, the shortcut and the two sides of a convolution. For Stable Diffusion v1 at
512 x 512 that is 0.5 GiB.
"""

from __future__ import annotations

from userdata.bill.units import GIB

CONTEXT_GIB = 0.5
CHANNELS = 256
MAPS = 4


def memory_need_gib(*, weights_bytes: int, native_size: int, decoder_bytes: int, leaving_bytes: int = 0) -> float:
    """GiB on the GPU for one square image of `native_size` pixels an edge.

    `weights_bytes` are all weights as loaded, `decoder_bytes` the width of one number in the decoder: 2 in half
    precision, 4 where half precision overflows. `leaving_bytes` are those of the weights that are on the card to encode
    the texts, and no longer when an image is decoded.
    """
    drawing = MAPS * CHANNELS * native_size**2 * decoder_bytes
    return max(weights_bytes, weights_bytes - leaving_bytes + drawing) / GIB + CONTEXT_GIB
