"""The image that image to image starts from: reads it as people see it, and fits it to the images' size."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from PIL import Image, ImageMath, ImageOps

from userdata.contract.image_size import INITIAL_IMAGE_MULTIPLE, LONGEST_EDGE, MOST_FILE_BYTES, SHORTEST_EDGE
from userdata.job.orientation import turned_upright
from userdata.job.picture_file import NoPictureError, opened_picture
from userdata.job.run_error import RunError

# Pillow's names, each with the endings of such files. To Pillow, the JPEG of a telephone that holds several pictures
# is an MPO. Rejected: TIFF, because it has many kinds whose colours Pillow shows otherwise than other programs do.
SUFFIXES = {
    "PNG": (".png",),
    "JPEG": (".jpg", ".jpeg"),
    "MPO": (".jpg", ".jpeg"),
    "WEBP": (".webp",),
    "GIF": (".gif",),
    "BMP": (".bmp",),
    "AVIF": (".avif",),
}
FORMATS = tuple(name for name in SUFFIXES if name != "MPO")
FORMATS_IN_WORDS = "PNG, JPEG, WebP, GIF, BMP or AVIF"

# What the first bytes say. Pillow is not asked, because it would try every decoder that it has.
_KINDS = {
    rb"\x89PNG\r\n|\xff\xd8\xff|RIFF....WEBP|GIF8|BM|....ftypavi[fs]": "broken, although it begins like one",
    rb"$": "empty",
    rb"....ftyp(hei|hev|mif1|msf1)": "HEIC",
    rb"II[*+]\0|MM\0[*+]": "TIFF, or a camera's raw file",
    rb"\xff\x0a|\0\0\0\x0cJXL ": "JPEG XL",
    rb"\0\0\0\x0cjP  |\xff\x4f\xff\x51": "JPEG 2000",
    rb"8BPS": "a Photoshop file",
    rb"gimp xcf": "a GIMP file",
    rb"\0\0[\x01\x02]\0": "an icon",
    rb"%PDF|%!PS": "PDF or PostScript",
    rb"PK\x03\x04": "a zip archive",
    rb"version https://git-lfs": "the pointer of a file in Git LFS",
    rb"(?i)\s*(<\?xml|<!--|<!doctype svg|<svg)": "SVG, or other XML",
    rb"(?i)\s*<(!doctype html|html|head)": "a web page",
}


@dataclass(frozen=True)
class InitialImage:
    """The image as RGB, upright and opaque, and the SHA-256 of its file in hexadecimal.

    With a mask (`init_mask`) the image is RGBA, and `mask_sha256` is that of the mask's file.
    `suffixes` are the endings of such files, the usual one first. `told` are sentences about what was made of it, and
    `see_through` says whether it was transparent in places, which are white.
    """

    image: Image.Image
    sha256: str
    suffixes: tuple[str, ...]
    told: tuple[str, ...]
    mask_sha256: str | None = None
    see_through: bool = False


def read_image(content: bytes) -> InitialImage:
    """The image in a file. Raises `ValueError`, whose message goes on after "it", when it cannot be read."""
    if len(content) > MOST_FILE_BYTES:
        raise ValueError(f"it has {len(content):,} bytes, but may have {MOST_FILE_BYTES:,}")
    try:
        return _decoded(content)
    except NoPictureError as error:
        kind = next((kind for start, kind in _KINDS.items() if re.match(start, content[:256], re.DOTALL)), "")
        raise ValueError(f"it is {kind}" if kind else f"it is no {FORMATS_IN_WORDS}") from error


def _decoded(content: bytes) -> InitialImage:
    told = []
    with opened_picture(content, FORMATS) as file:
        rawmode = str(file.tile[0].args) if file.format == "PNG" and file.tile else ""
        file.load()
        image, is_see_through = _over_white(file, rawmode)
        image = turned_upright(image, file)
        if is_see_through:
            told.append("The initial image is transparent in places: they are white.")
        if _is_animation(file):
            told.append("The initial image is an animation: its first picture is taken.")
        suffixes = SUFFIXES[str(file.format)]
    image.info.clear()  # of the file, nothing but its pixels goes on
    return InitialImage(image, hashlib.sha256(content).hexdigest(), suffixes, tuple(told), see_through=is_see_through)


def _is_animation(file: Image.Image) -> bool:
    try:
        return file.format != "MPO" and bool(getattr(file, "is_animated", False))
    except Exception:  # noqa: BLE001  # the second picture is broken, which nobody needs
        return False


def _over_white(image: Image.Image, rawmode: str) -> tuple[Image.Image, bool]:
    """`image` as RGB over white, and whether any of the white is seen. `rawmode` is a PNG's, empty for others."""
    image = _in_8_bits(image, rawmode)
    if not image.has_transparency_data:
        return image.convert("RGB"), False
    layered = image.convert("RGBA")
    alpha = layered.getchannel("A")
    if alpha.getextrema()[0] == 255:
        return layered.convert("RGB"), False
    white = Image.new("RGB", image.size, "white")
    white.paste(layered, mask=alpha)
    return white, True


def _in_8_bits(image: Image.Image, rawmode: str) -> Image.Image:
    """`image`, whose transparent colour is in the scale of its pixels: Pillow keeps the number that the PNG has."""
    colour = image.info.get("transparency")
    if image.mode.startswith("I"):
        # Grey of 16 bits. Pillow cuts it off at 255, so that nearly all of it would be white.
        exact = image.convert("I")
        grey = exact.point(lambda grey: grey / 256).convert("L")
        grey.info.pop("transparency", None)
        if colour is not None:
            opaque = ImageMath.lambda_eval(lambda of: of["convert"]((of["exact"] != colour) * 255, "L"), exact=exact)
            grey.putalpha(opaque)
        return grey
    if colour is not None and rawmode in ("L", "L;2", "L;4"):
        bits = int(rawmode[2:] or 8)
        image.info["transparency"] = (colour & (2**bits - 1)) * 255 // (2**bits - 1)
    elif colour is not None and rawmode in ("RGB", "RGB;16B"):
        image.info["transparency"] = tuple(part >> 8 if rawmode == "RGB;16B" else part & 255 for part in colour)
    return image


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
