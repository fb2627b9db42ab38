"""Decoders of pictures, and the readers of what is written into them."""

from __future__ import annotations

from tests.fuzz.target import Target
from tests.unit.job.image_files import encoded, jpeg_segment, two_colours, with_segments
from userdata.job import picture_file
from userdata.job.initial_image import read_image
from userdata.record.image_metadata import record_in_png

JPEG = encoded(two_colours(6, 4), "JPEG")


def initial_image(content: bytes) -> object:
    """Of a changed header a decoder makes a large picture, which would only take time here."""
    most, picture_file.MOST_PIXELS = picture_file.MOST_PIXELS, 1_000_000
    try:
        image = read_image(content).image
    except ValueError as error:
        assert str(error).startswith("it ")
        raise
    finally:
        picture_file.MOST_PIXELS = most
    assert image.mode == "RGB"
    return image


def exif(content: bytes) -> object:
    """Whatever EXIF says, it is no reason to refuse a picture."""
    return initial_image(with_segments(JPEG, jpeg_segment(0xE1, b"Exif\0\0" + content[:60_000])))


TARGETS = {
    "initial-image": Target(initial_image),
    "exif": Target(exif, ()),
    "png-record": Target(record_in_png),
}
