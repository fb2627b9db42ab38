"""The mask of inpainting: white is redrawn, black stays, and grey is mixed of both by its shade.

An initial image and its mask travel as one picture in RGBA, whose fourth channel is the mask: so they cannot be mixed
up, and nothing on their way has to know of two. Rejected: a blur of our own around the mask, because what is black must
stay to the last bit; whoever wants a soft edge paints one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from PIL import Image

from userdata.job.image_request import ImageRequest
from userdata.job.initial_image import InitialImage, fit_image
from userdata.job.job_fields import JobFields

# Shades beyond are black and white: JPEG leaves neither pure.
BLACK, WHITE = 16, 239
# From this shade on the model draws.
DRAWN = 128


def with_mask(image: InitialImage, mask: InitialImage, images: Iterable[JobFields | ImageRequest]) -> InitialImage:
    """`image` with `mask` as its fourth channel, for `images` of any sizes.

    Raises `ValueError`, whose message goes on after "it", when the mask has another size than `image`, or when one of
    the images would be redrawn nowhere or everywhere.
    """
    if mask.image.size != image.image.size:
        ours, theirs = (f"{one.image.width} × {one.image.height}" for one in (mask, image))
        raise ValueError(f"it has {ours} pixels, and the initial image {theirs}: make it as large as the image")
    picture = image.image.copy()
    picture.putalpha(_clean(mask.image.convert("L")))
    for width, height in {(one.W, one.H) for one in images}:
        _, shades = fit_start(picture, width=width, height=height)
        assert shades
        drawn = sum(shades.histogram()[DRAWN:])
        where = f" in the images of {width} × {height}" if shades.size != picture.size else ""
        if drawn == 0:
            raise ValueError(f"it is nowhere white{where}, so that nothing would change: paint white what is to change")
        if drawn == width * height:
            seen = " (what is transparent is white)" if mask.see_through else ""
            raise ValueError(
                f"it is nowhere black{where}{seen}, so that nothing would stay: paint black what is to stay"
            )
    return replace(image, image=picture, mask_sha256=mask.sha256)


def fit_start(picture: Image.Image, *, width: int, height: int) -> tuple[Image.Image, Image.Image | None]:
    """The initial image in `width` × `height` pixels as RGB, and its mask in shades of grey, None without one."""
    image = fit_image(picture.convert("RGB"), width=width, height=height)
    if picture.mode != "RGBA":
        return image, None
    return image, _clean(fit_image(picture.getchannel("A"), width=width, height=height))


def _clean(mask: Image.Image) -> Image.Image:
    return mask.point([0 if shade < BLACK else 255 if shade > WHITE else shade for shade in range(256)])


def told_of(image: InitialImage, parameter: str) -> list[str]:
    """What was made of the image that `parameter` names, InitImage or InitMask."""
    return [
        sentence.replace("initial image", "mask") if parameter == "InitMask" else sentence for sentence in image.told
    ]
