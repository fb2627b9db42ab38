"""Images with changed EXIF blocks, PNG chunks, and parts of JPEGs and WebPs: a picture comes out, or a sentence."""

from __future__ import annotations

import random
import struct
import warnings
import zlib
from collections.abc import Callable

import pytest

from tests.unit.job.image_files import (
    chunk,
    encoded,
    exif_block,
    extended,
    jpeg_segment,
    png,
    riff_chunk,
    two_colours,
    with_chunks,
    with_segments,
)
from userdata.job.initial_image import read_image

SEED = 20261129
STORED = two_colours(6, 4)
PNG, JPEG, WEBP = (encoded(STORED, kind) for kind in ("PNG", "JPEG", "WEBP"))
# GIF, BMP and AVIF are here alone, where bytes are changed without a look at what they mean.
OTHERS = [
    encoded(STORED, "GIF", save_all=True, append_images=[STORED.rotate(180)]),
    encoded(STORED.convert("RGBA"), "WEBP", save_all=True, append_images=[STORED.rotate(180)]),
    encoded(STORED, "BMP"),
    encoded(STORED.quantize(4), "PNG", transparency=1),
    encoded(STORED, "AVIF", exif=exif_block([(0x0112, 3, 1, b"\0\6\0\0")])),
]
TAGS = (0x0100, 0x010F, 0x0112, 0x011A, 0x0128, 0x0132, 0x02BC, 0x8769, 0x8825, 0x9000, 0x927C, 0xA002, 0xA005, 0xC4A5)
NAMES = b"tRNS PLTE eXIf iTXt tEXt zTXt iCCP gAMA sRGB pHYs acTL fcTL fdAT bKGD sBIT tIME IDAT".split()
# Depth and colour type. The edges stay: other tests have large ones, which would make images of a gigabyte here.
PIXELS = ((8, 2), (8, 6), (8, 3), (2, 3), (1, 0), (4, 0), (16, 0), (16, 2), (8, 4), (16, 6))
CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}


def _bytes(rng: random.Random, most: int) -> bytes:
    return rng.randbytes(rng.randrange(most))


def _flipped(content: bytes, rng: random.Random, count: int, start: int = 0) -> bytes:
    changed = bytearray(content)
    for _ in range(count):
        changed[rng.randrange(start, len(changed))] = rng.randrange(256)
    return bytes(changed)


def _block(rng: random.Random) -> bytes:
    """EXIF with odd tags, of which some bytes are changed at times, or the end is cut off."""
    tags = [
        (rng.choice(TAGS), rng.randrange(16), rng.choice((0, 1, 2, 9, 2**31)), _bytes(rng, 5).ljust(4, b"\0"))
        for _ in range(rng.randrange(5))
    ]
    block = exif_block([(0x0112, 3, 1, struct.pack(">HH", rng.randrange(10), 0)), *tags])
    block = _flipped(block, rng, rng.choice((0, 0, 1, 3)))
    return block if rng.random() < 0.8 else block[: rng.randrange(len(block))]


def exif(rng: random.Random) -> bytes:
    """Each kind of file that has EXIF or what stands for it, with an odd block."""
    block, kind = _block(rng), rng.randrange(5)
    if kind == 0:
        return with_chunks(PNG, chunk(b"eXIf", block))
    if kind == 1:
        return with_chunks(PNG, chunk(b"tEXt", b"Raw profile type exif\0\nexif\n9\n" + block.hex().encode()))
    if kind == 2:
        return with_chunks(PNG, chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0tiff:Orientation>" + _bytes(rng, 3)))
    if kind == 3:
        return with_segments(JPEG, jpeg_segment(0xE1, b"Exif\0\0" + block))
    return extended(WEBP, STORED.size, riff_chunk(b"EXIF", rng.choice((b"", b"Exif\0\0")) + block))


def chunks(rng: random.Random) -> bytes:
    """A PNG of any depth and colour type, with chunks that may say anything."""
    depth, colour = rng.choice(PIXELS)
    row = rng.randbytes((6 * depth * CHANNELS[colour] + 7) // 8)
    odd = [chunk(rng.choice(NAMES), _said(rng)) for _ in range(rng.randrange(3))]
    palette = [chunk(b"PLTE", rng.randbytes(12))] if colour == 3 and rng.random() < 0.9 else []
    transparent = [chunk(b"tRNS", rng.randbytes(6 if colour == 2 else 2))]
    whole = png(None, *palette, *transparent, *odd, row=row, header=(6, 4, depth, colour))
    return whole if rng.random() < 0.8 else _flipped(whole, rng, 1, start=33)


def _said(rng: random.Random) -> bytes:
    text = b"key\0\0" + rng.choice((_bytes(rng, 9), zlib.compress(_bytes(rng, 9))))
    return rng.choice((b"", rng.randbytes(2), rng.randbytes(6), _bytes(rng, 30), text, _block(rng)))


def segments(rng: random.Random) -> bytes:
    """A JPEG with segments that may say anything."""
    markers = (0xE0, 0xE1, 0xE2, 0xED, 0xEE, 0xFE, 0xDB, 0xC4, 0xDD)
    names = (b"JFIF\0", b"Exif\0\0", b"MPF\0", b"Adobe\0", b"ICC_PROFILE\0", b"Photoshop 3.0\0", b"")
    odd = [
        jpeg_segment(rng.choice(markers), rng.choice(names) + rng.choice((_bytes(rng, 40), _block(rng))))
        for _ in range(rng.randrange(1, 4))
    ]
    return with_segments(JPEG, *odd)


def others(rng: random.Random) -> bytes:
    """A file of another kind, some of whose bytes are changed, or whose end is cut off."""
    content = rng.choice(OTHERS)
    if rng.random() < 0.2:
        return content[: rng.randrange(len(content))]
    return _flipped(content, rng, rng.choice((1, 2, 8)), start=40)


@pytest.mark.parametrize("times", [1, pytest.param(30, marks=pytest.mark.long)])
@pytest.mark.parametrize(
    ("make", "count", "least"),
    # Whatever EXIF says, it is no reason to refuse a picture.
    [(exif, 6000, 1.0), (chunks, 5000, 0.3), (segments, 1500, 0.3), (others, 500, 0.1)],
)
def test_an_odd_file_is_a_picture_or_one_sentence(
    make: Callable[[random.Random], bytes], count: int, least: float, times: int, capfd: pytest.CaptureFixture[str]
) -> None:
    rng = random.Random(SEED)
    pictures = 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(count * times):
            content = make(rng)
            try:
                read = read_image(content)
            except ValueError as refusal:
                sentence = str(refusal) if type(refusal) is ValueError else ""
                assert sentence.startswith("it ") and "\n" not in sentence, content
            else:
                assert read.image.mode == "RGB", content
                assert make is others or sorted(read.image.size) == [4, 6], content
                pictures += 1
    assert pictures >= least * count * times
    assert capfd.readouterr() == ("", "")
