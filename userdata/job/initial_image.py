"""The image that image to image starts from: reads it, turns it upright, and fits it to the images' size."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass

from PIL import Image, ImageOps, UnidentifiedImageError

from userdata.contract.image_size import INITIAL_IMAGE_MULTIPLE, LONGEST_EDGE, SHORTEST_EDGE
from userdata.job.run_error import RunError

FORMATS = ("PNG", "JPEG", "WEBP")


@dataclass(frozen=True)
class InitialImage:
    """The image as RGB, upright, and the SHA-256 of its file in hexadecimal."""

    image: Image.Image
    sha256: str


def read_image(content: bytes) -> InitialImage:
    """The image in a file. Raises `ValueError` when it cannot be read."""
    try:
        image = ImageOps.exif_transpose(Image.open(io.BytesIO(content), formats=FORMATS))
        if image.mode.startswith("I"):
            # Grey of 16 bits. Pillow cuts it off at 255, so that nearly all of it would be white.
            image = image.convert("I").point(lambda grey: grey / 256).convert("L")
        image = image.convert("RGB")
    except UnidentifiedImageError as error:
        raise ValueError("it is no PNG, JPEG or WebP") from error
    except Image.DecompressionBombError as error:
        raise ValueError("it has too many pixels; make it smaller first") from error
    except (OSError, ValueError, SyntaxError) as error:
        raise ValueError(str(error)) from error
    return InitialImage(image, hashlib.sha256(content).hexdigest())


def size_from(image: Image.Image, name: str) -> tuple[int, int]:
    """Width and height for images that are as large as `image`, in pixels: rounded down as img2img.py does.

    Raises `RunError`, which calls the image `name`, when that is no size for a job.
    """
    width, height = (edge - edge % INITIAL_IMAGE_MULTIPLE for edge in image.size)
    if not all(SHORTEST_EDGE <= edge <= LONGEST_EDGE for edge in (width, height)):
        raise RunError(
            f"The initial image {name} has {image.width} × {image.height} pixels, but images have edges from "
            f"{SHORTEST_EDGE} to {LONGEST_EDGE}. Give their size, for example Height 512 and Width 768: the initial "
            "image is then fitted to it."
        )
    return width, height


def fit_image(image: Image.Image, *, width: int, height: int) -> Image.Image:
    """`image` in `width` × `height` pixels.

    The image is scaled until it covers that size, and cut evenly at the two sides that stand out. Rejected:
    stretching, which turns a portrait into a caricature.
    """
    return ImageOps.fit(image, (width, height), Image.Resampling.LANCZOS)
