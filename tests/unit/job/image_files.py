"""Image files made part by part, so that each part can be odd."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Sequence
from typing import Any

from PIL import Image

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    """The image as a file, as Pillow writes it."""
    file = io.BytesIO()
    image.save(file, format=kind, **options)
    return file.getvalue()


def two_colours(width: int = 48, height: int = 32) -> Image.Image:
    """Red at the left, blue at the right, and the corner at the top left yellow."""
    image = Image.new("RGB", (width, height), "blue")
    image.paste((255, 0, 0), (0, 0, width // 2, height))
    image.paste((255, 255, 0), (0, 0, max(1, width // 6), max(1, height // 4)))
    return image


def chunk(name: bytes, data: bytes) -> bytes:
    """A chunk of a PNG."""
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(
    image: Image.Image | None, *chunks: bytes, row: bytes = b"", header: tuple[int, int, int, int] | None = None
) -> bytes:
    """A PNG of `image`, else of equal rows, with `chunks` before its pixels. `header`: width, height, depth, colour."""
    if image:
        header = (*image.size, 8, 2)
        lines = [image.crop((0, y, image.width, y + 1)).tobytes() for y in range(image.height)]
    else:
        assert header
        lines = [row] * header[1]
    parts = [
        chunk(b"IHDR", struct.pack(">IIBBBBB", *header, 0, 0, 0)),
        chunk(b"IDAT", zlib.compress(b"".join(b"\0" + line for line in lines))),
        chunk(b"IEND", b""),
    ]
    return with_chunks(PNG_SIGNATURE + b"".join(parts), *chunks)


def with_chunks(plain: bytes, *chunks: bytes) -> bytes:
    """A PNG with more chunks, right behind its header."""
    return plain[:33] + b"".join(chunks) + plain[33:]


def riff_chunk(name: bytes, data: bytes) -> bytes:
    """A chunk of a WebP."""
    return name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)


def extended(simple: bytes, size: tuple[int, int], *chunks: bytes) -> bytes:
    """A WebP with `chunks` behind its pixels."""
    width, height = (struct.pack("<I", edge - 1)[:3] for edge in size)
    flags = b"\x08\0\0\0"  # it has EXIF
    body = b"WEBP" + riff_chunk(b"VP8X", flags + width + height) + simple[12:] + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def jpeg_segment(marker: int, data: bytes) -> bytes:
    """A segment of a JPEG."""
    return bytes([0xFF, marker]) + struct.pack(">H", len(data) + 2) + data


def with_segments(plain: bytes, *segments: bytes) -> bytes:
    """A JPEG with `segments` at its beginning."""
    return plain[:2] + b"".join(segments) + plain[2:]


def exif_block(tags: Sequence[tuple[int, int, int, bytes]]) -> bytes:
    """EXIF of big-endian tags: number, type, count, and the four bytes that hold the value or point at it."""
    directory = b"".join(struct.pack(">HHI", *tag[:3]) + tag[3] for tag in sorted(tags))
    return b"MM\0*\0\0\0\x08" + struct.pack(">H", len(tags)) + directory + b"\0\0\0\0"
