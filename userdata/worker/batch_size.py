"""How many images are drawn at once."""

from __future__ import annotations

import torch

# A U-Net's step of one image keeps some eight multiprocessors busy to the full, as measured on an H100 with 132 of
# them (docs/performance.md): larger batches take as much longer as they have more images.
MULTIPROCESSORS_PER_IMAGE = 8
LARGEST = 12
# Of a batch, beside the weights: the U-Net's own for both halves of the guidance, and the pixels, in bytes.
BYTES_PER_PIXEL = 1200
# For one image through the decoder, whatever the batch.
BYTES_PER_PIXEL_OF_THE_DECODER = 6000


def largest_batch(device: torch.device, *, pixels: int, asked: int) -> int:
    """The number of images of `pixels` pixels each to draw at once on `device`, at least 1.

    On a GPU, what its multiprocessors are filled with and its free memory holds; `asked`, the job's n_samples, does not
    limit it, since an image does not depend on its neighbours. On the CPU, which larger batches do not make faster,
    `asked`: the images come earlier.
    """
    if device.type != "cuda":
        return asked
    free, _ = torch.cuda.mem_get_info(device)
    processors = torch.cuda.get_device_properties(device).multi_processor_count
    fits = (free - pixels * BYTES_PER_PIXEL_OF_THE_DECODER) // (pixels * BYTES_PER_PIXEL)
    return max(1, min(LARGEST, processors // MULTIPROCESSORS_PER_IMAGE, fits))
