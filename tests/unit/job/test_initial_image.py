"""An initial image comes in as people see it: by its content, upright, over white, and without a library's words."""

from __future__ import annotations

import struct
import warnings
from typing import Any

import pytest
from PIL import Image

from tests.unit.job.image_files import (
    chunk,
    encoded,
    exif_block,
    extended,
    jpeg_segment,
    png,
    riff_chunk,
    two_colours,
    with_segments,
)
from userdata.job.initial_image import InitialImage, read_image
from userdata.job.picture_file import MOST_PIXELS, opened_picture

WHITE, BLACK = (255,) * 3, (0,) * 3
# What a photograph of 3 x 2 pixels, red at the left and blue at the right, looks like by each orientation.
# Source: the table of Orientation in the EXIF standard, CIPA DC-008.
UPRIGHT = {1: "left", 2: "right", 3: "right", 4: "left", 5: "top", 6: "top", 7: "bottom", 8: "bottom"}
# Where its yellow corner, stored at the top of the left side, is then.
CORNER = {
    1: (0.05, 0.05), 2: (0.95, 0.05), 3: (0.95, 0.95), 4: (0.05, 0.95),
    5: (0.05, 0.05), 6: (0.95, 0.05), 7: (0.95, 0.95), 8: (0.05, 0.95),
}  # fmt: skip


def pixels(content: bytes) -> list[Any]:
    image = read_image(content).image
    return [image.getpixel((x, 0)) for x in range(image.width)]


@pytest.mark.parametrize("kind", ["PNG", "PNG of XMP", "JPEG", "WEBP"])
def test_each_orientation_is_turned_upright(kind: str) -> None:
    for orientation, side in UPRIGHT.items():
        stored = two_colours()
        exif = Image.Exif()
        exif[0x0112] = orientation
        if kind == "PNG of XMP":
            xmp = f'<rdf:Description tiff:Orientation="{orientation}"/>'.encode()
            content = png(stored, chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp))
        else:
            content = encoded(stored, kind, exif=exif, quality=100, lossless=True, subsampling=0)
        read = read_image(content).image
        assert read.size == ((48, 32) if orientation < 5 else (32, 48))
        assert read.info == {}
        middle = {"left": (0.1, 0.5), "right": (0.9, 0.5), "top": (0.5, 0.1), "bottom": (0.5, 0.9)}[side]
        red, _, blue = _at(read, *middle)
        assert red > 200 > 50 > blue, (orientation, side)
        corner = _at(read, *CORNER[orientation])
        assert corner[1] > 200, orientation


def _at(image: Image.Image, x: float, y: float) -> tuple[int, int, int]:
    found = image.getpixel((int(x * image.width), int(y * image.height)))
    assert isinstance(found, tuple)
    return found[0], found[1], found[2]


def test_one_odd_tag_beside_the_orientation_changes_nothing() -> None:
    """Editors write resolutions as bytes and texts as numbers. The tag of the orientation is still what it is."""
    stored = two_colours()
    simple = encoded(stored, "WEBP", lossless=True)
    for tag in (0x010F, 0x011A, 0x0128, 0x0132, 0x8769, 0x8825, 0x9286, 0xA002, 0xC4A5):
        for kind in range(14):
            block = exif_block([(0x0112, 3, 1, struct.pack(">HH", 6, 0)), (tag, kind, 1, b"\1\0\0\0")])
            for content in (
                png(stored, chunk(b"eXIf", block)),
                extended(simple, stored.size, riff_chunk(b"EXIF", block)),
            ):
                assert read_image(content).image.size == (32, 48), (hex(tag), kind)


def test_a_resolution_that_is_none_makes_no_jpeg_unreadable() -> None:
    """Pillow looks for the resolution in EXIF while it opens a JPEG."""
    tags = [(0x0112, 3, 1, b"\0\6\0\0"), (0x011A, 1, 1, b"\x48\0\0\0"), (0x0128, 3, 1, b"\0\2\0\0")]
    segment = jpeg_segment(0xE1, b"Exif\0\0" + exif_block(tags))
    assert read_image(with_segments(encoded(two_colours(), "JPEG"), segment)).image.size == (32, 48)


@pytest.mark.parametrize("orientation", [0, 9, 255, 65535])
def test_an_orientation_that_is_none_turns_nothing(orientation: int) -> None:
    block = exif_block([(0x0112, 3, 1, struct.pack(">HH", orientation, 0))])
    assert read_image(png(two_colours(), chunk(b"eXIf", block))).image.size == (48, 32)


def _of_mode(mode: str, kind: str, **options: Any) -> bytes:
    """The left half shows red, or black where there is no colour; the right half hides green under alpha 0."""
    image = Image.new("RGBA", (64, 64), (255, 0, 0, 255))
    image.paste((0, 255, 0, 0), (32, 0, 64, 64))
    if mode == "P":
        image = image.convert("RGB").quantize(2)
        options["transparency"] = image.getpixel((63, 0))
    return encoded(image.convert(mode), kind, **options)


@pytest.mark.parametrize(
    ("mode", "kind"),
    [("RGBA", "PNG"), ("LA", "PNG"), ("P", "PNG"), ("RGBA", "WEBP"), ("P", "GIF"), ("RGBA", "AVIF")],
)
def test_what_is_transparent_is_white_and_told(mode: str, kind: str) -> None:
    read = read_image(_of_mode(mode, kind, **({} if mode == "P" else {"lossless": True, "quality": 100})))
    assert read.image.mode == "RGB"
    assert read.image.getpixel((60, 32)) == WHITE
    assert read.image.getpixel((4, 32)) != WHITE
    assert read.told == ("The initial image is transparent in places: they are white.",)


def test_half_transparent_colours_are_mixed_with_white() -> None:
    content = encoded(Image.new("RGBA", (2, 2), (255, 0, 0, 128)), "PNG")
    assert pixels(content) == [(255, 127, 127)] * 2


def test_an_alpha_channel_that_hides_nothing_is_not_told() -> None:
    read = read_image(encoded(Image.new("RGBA", (2, 2), (255, 0, 0, 255)), "PNG"))
    assert (read.image.getpixel((0, 0)), read.told) == ((255, 0, 0), ())


@pytest.mark.parametrize(
    ("depth", "row", "colour", "seen"),
    [
        (1, b"\x40", [0], [WHITE, WHITE]),
        (2, b"\x1b", [1], [BLACK, WHITE, (170,) * 3, WHITE]),
        (4, b"\x05\xa0", [5], [BLACK, WHITE, (170,) * 3, BLACK]),
        (8, b"\x00\x07\xc8", [7], [BLACK, WHITE, (200,) * 3]),
        (16, struct.pack(">3H", 0, 257, 256), [257], [BLACK, WHITE, (1,) * 3]),
        (8, bytes([1, 2, 3, 4, 5, 6]), [1, 2, 3], [WHITE, (4, 5, 6)]),
        (16, struct.pack(">6H", 256, 512, 768, 1024, 0, 65535), [256, 512, 768], [WHITE, (4, 0, 255)]),
    ],
)  # fmt: skip
def test_the_one_transparent_colour_of_a_png_is_white_at_each_depth(
    depth: int, row: bytes, colour: list[int], seen: list[Any]
) -> None:
    of_colour = len(colour) == 3
    transparent = chunk(b"tRNS", struct.pack(f">{len(colour)}H", *colour))
    content = png(None, transparent, row=row, header=(len(seen), 1, depth, 2 if of_colour else 0))
    assert pixels(content) == seen


@pytest.mark.parametrize(
    ("kind", "suffixes"),
    [("PNG", (".png",)), ("JPEG", (".jpg", ".jpeg")), ("MPO", (".jpg", ".jpeg")), ("WEBP", (".webp",)),
     ("GIF", (".gif",)), ("BMP", (".bmp",)), ("AVIF", (".avif",))],
)  # fmt: skip
def test_the_first_picture_of_each_kind_is_taken(kind: str, suffixes: tuple[str, ...]) -> None:
    moving = kind not in ("JPEG", "BMP")
    more: dict[str, Any] = {"save_all": True, "append_images": [Image.new("RGB", (64, 64), "blue")]} if moving else {}
    read = read_image(encoded(Image.new("RGB", (64, 64), "red"), kind, **more))
    assert read.suffixes == suffixes
    red, _, blue = _at(read.image, 0.5, 0.5)
    assert red > 240 > 10 > blue
    told = ("The initial image is an animation: its first picture is taken.",)
    assert read.told == (told if moving and kind != "MPO" else ())


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "empty"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + b"\0" * 40, "HEIC"),
        (b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic" + b"\0" * 40, "HEIC"),
        (encoded(Image.new("RGB", (8, 8)), "TIFF"), "TIFF, or a camera's raw file"),
        (encoded(Image.new("RGB", (8, 8)), "JPEG2000"), "JPEG 2000"),
        (encoded(Image.new("RGB", (16, 16)), "ICO"), "an icon"),
        (encoded(Image.new("RGB", (8, 8)), "PDF"), "PDF or PostScript"),
        (b"\n<!DOCTYPE html><html>Log in</html>", "a web page"),
        (b'<?xml version="1.0"?><svg/>', "SVG, or other XML"),
        (b"version https://git-lfs.github.com/spec/v1\n", "the pointer of a file in Git LFS"),
        (b"PK\x03\x04" + b"\0" * 40, "a zip archive"),
        (b"8BPS\0\1" + b"\0" * 40, "a Photoshop file"),
        (b"a horse", "no PNG, JPEG, WebP, GIF, BMP or AVIF"),
        (b"\x89PNG\r\n\x1a\n" + b"\0" * 40, "broken, although it begins like one"),
    ],
)
def test_other_files_are_called_what_they_are(content: bytes, what: str) -> None:
    with pytest.raises(ValueError, match=f"^it is {what}$"):
        read_image(content)


def read_without_warnings(content: bytes) -> InitialImage:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return read_image(content)


def test_many_pixels_are_taken_without_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    content = encoded(Image.new("L", (100, 15)), "PNG")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)  # from which on Pillow warns
    assert read_without_warnings(content).image.size == (100, 15)


# Pillow refuses the second one itself, but takes one of 178 million pixels.
@pytest.mark.parametrize("edge", [8001, 100_000])
def test_a_bomb_is_refused_by_its_header(edge: int) -> None:
    with pytest.raises(ValueError, match=r"^it has more than 64,000,000 pixels; make it smaller$"):
        read_image(png(None, row=b"", header=(edge, edge, 8, 2)))


def test_the_largest_picture_is_no_bomb() -> None:
    with opened_picture(png(None, row=b"", header=(8000, 8000, 8, 2)), ("PNG",)) as file:
        assert file.width * file.height == MOST_PIXELS


def test_a_file_of_too_many_bytes_is_not_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("userdata.job.initial_image.MOST_FILE_BYTES", 10)
    with pytest.raises(ValueError, match="^it has 11 bytes, but may have 10$"):
        read_image(b"\x89PNG" + b"\0" * 7)
