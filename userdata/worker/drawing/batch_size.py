"""Chooses how many images are drawn at once."""

from __future__ import annotations

import torch

from userdata.contract.catalogue import BYTES_PER_PIXEL

# Measured on an H100, which has 132 multiprocessors, at 512 x 640 (docs/performance.md): a batch of 20 is the fastest,
# and one of 6 takes 4 % longer for an image. Smaller GPUs were not measured.
MULTIPROCESSORS_PER_IMAGE = 6
LARGEST = 20
# What an image of a batch takes beside the weights: the U-Net's maps for both halves of the guidance, and the pixels.
# Measured there: 440 with fused kernels, 610 without.
# (The catalogue has it, because a card is chosen by it.)
# What one image takes in the decoder, whatever the batch. Measured there: 1,540 in half precision; some models decode
# in single precision.
BYTES_PER_PIXEL_OF_THE_DECODER = 3200


def largest_batch(device: torch.device, *, pixels: int, asked: int, decoded: int | None = None) -> int:
    """The number of images of `pixels` pixels each to draw at once on `device`, at least 1.

    `decoded` is how many pixels the decoder holds at once, `pixels` unless it works in tiles.

    On a GPU, as many as fill its multiprocessors and fit into its free memory. `asked`, the job's n_samples, is no
    limit there, because an image does not depend on the rest of its batch. On the CPU, `asked`: larger batches would
    not be faster, and the images would come later.
    """
    if device.type != "cuda":
        return asked
    free, _ = torch.cuda.mem_get_info(device)
    processors = torch.cuda.get_device_properties(device).multi_processor_count
    fits = (free - (decoded or pixels) * BYTES_PER_PIXEL_OF_THE_DECODER) // (pixels * BYTES_PER_PIXEL)
    return max(1, min(LARGEST, processors // MULTIPROCESSORS_PER_IMAGE, fits))
