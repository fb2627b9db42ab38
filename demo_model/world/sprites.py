"""The things' pictures, ready for the renderer."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy
import torch
from PIL import Image

from demo_model.world.things import THINGS

SPRITES = Path(__file__).parent / "sprites"
EDGE = 96
# Drawn smaller than this, in pixels, a thing is taken from the blurred copy, or its fine lines would flicker.
SMALL = 60
# Luma of BT.601, which the PIL mode "L" has too.
LUMA = (0.299, 0.587, 0.114)


@cache
def proportions() -> tuple[tuple[float, float], ...]:
    """Width and height of every thing as shares of its longer edge, in the order of `THINGS`."""
    sizes = []
    for thing in THINGS:
        with Image.open(SPRITES / f"{thing.file_stem}.png") as picture:
            longer = max(picture.size)
            sizes.append((picture.width / longer, picture.height / longer))
    return tuple(sizes)


def load_atlas() -> torch.Tensor:
    """All pictures, sharp and blurred: float32, 2 × things × 5 × 96 × 96, in 0 to 1.

    The channels are red, green, blue, alpha and brightness, all but alpha multiplied by alpha. Each picture is
    stretched to the square with a rim of one transparent pixel; the renderer gives it its proportions back. Brightness
    is stretched so that each thing uses the whole ramp of the colour it is painted in.
    """
    atlas = numpy.zeros((2, len(THINGS), 5, EDGE, EDGE), numpy.float32)
    for number, thing in enumerate(THINGS):
        picture = Image.open(SPRITES / f"{thing.file_stem}.png").convert("RGBA").resize((EDGE - 2, EDGE - 2))
        for level, image in enumerate((picture, _blurred(picture))):
            atlas[level, number, :, 1:-1, 1:-1] = _channels(image)
    return torch.from_numpy(atlas)


def _blurred(picture: Image.Image) -> Image.Image:
    half = (picture.width // 2, picture.height // 2)
    return picture.resize(half, Image.Resampling.BOX).resize(picture.size, Image.Resampling.BILINEAR)


def _channels(picture: Image.Image) -> numpy.ndarray[tuple[int, ...], numpy.dtype[numpy.float32]]:
    pixels = numpy.asarray(picture, numpy.float32).transpose(2, 0, 1) / 255
    colour, alpha = pixels[:3], pixels[3:]
    brightness = numpy.tensordot(numpy.asarray(LUMA, numpy.float32), colour, 1)
    seen = brightness[alpha[0] > 0.5]
    low, high = numpy.percentile(seen, [3, 97])
    brightness = ((brightness - low) / max(float(high - low), 0.15)).clip(0, 1)[None]
    return numpy.concatenate([colour * alpha, alpha, brightness * alpha]).astype(numpy.float32)
