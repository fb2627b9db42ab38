"""Opens a file of a picture: the one way to do so, because a decoder meets whatever bytes somebody has written.

Pillow raises what its parts do, which are many, and takes any number of pixels up to 178 million.
"""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Iterator

from PIL import Image, ImageFile, UnidentifiedImageError

# More than cameras for 35 mm film's format make (61 million). Reading takes up to 16 bytes for each, so 1 GB.
MOST_PIXELS = 64_000_000
# What begins the segment of a JPEG.
_EXIF = b"Exif\0\0"


class NoPictureError(ValueError):
    """The file is of none of the formats that are taken."""


@contextlib.contextmanager
def opened_picture(content: bytes, formats: tuple[str, ...]) -> Iterator[ImageFile.ImageFile]:
    """The picture in `content`, of one of Pillow's `formats`. Its pixels are not decoded yet.

    Whatever goes wrong here, or within the block, is raised as `ValueError`, whose message goes on after "it". Raises
    `NoPictureError` for a file of no such format.
    """
    try:
        with warnings.catch_warnings():
            # Of odd EXIF, or of pixels that are many but not too many.
            warnings.simplefilter("ignore")
            with _open(content, formats) as file:
                if file.width * file.height > MOST_PIXELS:
                    raise Image.DecompressionBombError
                yield file
    except UnidentifiedImageError as error:
        raise NoPictureError(f"it is no {' or '.join(formats)}") from error
    except Image.DecompressionBombError as error:
        raise ValueError(f"it has more than {MOST_PIXELS:,} pixels; make it smaller") from error
    except Exception as error:
        raise ValueError(f"it cannot be decoded: {error or type(error).__name__}") from error


def _open(content: bytes, formats: tuple[str, ...]) -> ImageFile.ImageFile:
    """Pillow looks for a JPEG's resolution in EXIF, and takes one with an odd one for no JPEG: EXIF is hidden then."""
    try:
        return Image.open(io.BytesIO(content), formats=formats)
    except UnidentifiedImageError:
        if not content.startswith(b"\xff\xd8\xff"):
            raise
    file = Image.open(io.BytesIO(content.replace(_EXIF, b"hidden")), formats=formats)
    file.info["exif"] = content.partition(_EXIF)[2]
    return file
