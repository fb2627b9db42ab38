from __future__ import annotations

import io

import pytest
from PIL import Image

from userdata.page.thumbnail import thumbnail_of


def png(mode: str, size: tuple[int, int]) -> bytes:
    content = io.BytesIO()
    Image.new(mode, size).save(content, format="PNG")
    return content.getvalue()


def test_the_longer_edge_has_320_pixels_and_a_small_image_is_not_enlarged() -> None:
    sizes = {size: Image.open(io.BytesIO(thumbnail_of(png("RGB", size)))).size for size in ((640, 512), (64, 72))}
    assert sizes == {(640, 512): (320, 256), (64, 72): (64, 72)}


def test_what_is_no_image_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="it"):
        thumbnail_of(b"\x89PNG\r\n\x1a\nno")
    assert thumbnail_of(png("RGBA", (8, 8)))[8:12] == b"WEBP"
