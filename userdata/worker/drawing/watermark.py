"""The original scripts' invisible watermark: the text `StableDiffusionV1`, in the wavelets of an image.

The library and the method are those of the original scripts (136 bits, dwtDct), so that their decoders read the text.
"""

from __future__ import annotations

import numpy
from imwatermark import WatermarkEncoder
from PIL import Image

TEXT = b"StableDiffusionV1"
METHOD = "dwtDct"


def with_watermark(image: Image.Image) -> Image.Image:
    """A copy of `image`, RGB, with the watermark. Raises `RuntimeError` for fewer than 256 × 256 pixels."""
    encoder = WatermarkEncoder()
    encoder.set_watermark("bytes", TEXT)
    blue_first = numpy.ascontiguousarray(numpy.asarray(image)[:, :, ::-1])
    return Image.fromarray(numpy.ascontiguousarray(encoder.encode(blue_first, METHOD)[:, :, ::-1]))
