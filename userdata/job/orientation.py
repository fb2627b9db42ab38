"""How an image is turned upright: by the note of its orientation that cameras and editors leave in it."""

from __future__ import annotations

import struct

from PIL import ExifTags, Image

# By the values of EXIF's tag. Source: CIPA DC-008, "Orientation".
_TURNS: dict[object, Image.Transpose] = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SHORT = 3


def turned_upright(image: Image.Image, file: Image.Image) -> Image.Image:
    """`image` turned as the opened `file`, whose pixels it has, says. What cannot be read there says nothing.

    Rejected: `ImageOps.exif_transpose`, which writes EXIF back and so fails on every tag that is not as it should be.
    """
    turn = _TURNS.get(_orientation_of(file))
    return image if turn is None else image.transpose(turn)


def _orientation_of(file: Image.Image) -> object:
    try:
        found = _in_exif(file.info.get("exif", b""))
        # Pillow looks into XMP and into what ImageMagick makes of EXIF, too.
        return file.getexif().get(ExifTags.Base.Orientation) if found is None else found
    except Exception:  # noqa: BLE001  # EXIF has as many ways to be odd as programs that write it
        return None


def _in_exif(exif: bytes) -> int | None:
    """The orientation in a block of EXIF; None without one. Raises `struct.error` for a block that is cut off.

    Rejected: Pillow's reader, because it goes no further than to the first tag that is broken, whichever that is.
    """
    block = exif.removeprefix(b"Exif\0\0")
    order = {b"II": "<", b"MM": ">"}.get(block[:2])
    if order is None:
        return None
    (start,) = struct.unpack_from(f"{order}I", block, 4)
    (count,) = struct.unpack_from(f"{order}H", block, start)
    for entry in range(count):
        tag, kind, _, value = struct.unpack_from(f"{order}HHIH", block, start + 2 + 12 * entry)
        if (tag, kind) == (ExifTags.Base.Orientation, _SHORT):
            return int(value)
    return None
