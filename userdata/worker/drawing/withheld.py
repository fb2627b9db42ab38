"""The picture that takes the place of a withheld image."""

from __future__ import annotations

from PIL import Image, ImageDraw, ImageFont

WORDS = "withheld: flagged by the safety checker"
GREY = (128, 128, 128)
WHITE = (255, 255, 255)


def withheld(size: tuple[int, int]) -> Image.Image:
    """A grey picture of `size`, width and height in pixels, that says so across its middle, as far as the words fit."""
    picture = Image.new("RGB", size, GREY)
    font = ImageFont.load_default(size=max(8, size[0] // 28))
    ImageDraw.Draw(picture).text((size[0] / 2, size[1] / 2), WORDS, fill=WHITE, font=font, anchor="mm")
    return picture
