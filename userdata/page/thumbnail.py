"""A thumbnail of an image: a small file beside the page, because a page that carries its pictures cannot grow."""

from __future__ import annotations

import io

from PIL import Image

from userdata.job.picture_file import opened_picture

# Pixels of the longer edge, and WebP's quality and effort: 12 ms for an image of 512 x 512 and 38 ms for 1024 x 1024,
# of which reading the PNG takes half; writing such a PNG takes six times as long (one core of an AMD EPYC).
LONGEST_EDGE = 320
QUALITY, EFFORT = 75, 2


def thumbnail_of(png: bytes) -> bytes:
    """The image as WebP of at most 320 pixels. Raises `ValueError` for what is no PNG."""
    with opened_picture(png, ("PNG",)) as file:
        picture = file.convert("RGB")
        picture.thumbnail((LONGEST_EDGE, LONGEST_EDGE), Image.Resampling.LANCZOS)
        content = io.BytesIO()
        picture.save(content, format="WEBP", quality=QUALITY, method=EFFORT)
    return content.getvalue()
