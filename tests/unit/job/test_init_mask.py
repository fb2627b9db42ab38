from __future__ import annotations

import io
from typing import Any

import pytest
from PIL import Image

from userdata.job.init_mask import fit_start, with_mask
from userdata.job.initial_image import InitialImage, read_image
from userdata.job.job import Job


def read(image: Image.Image, **options: Any) -> InitialImage:
    file = io.BytesIO()
    image.save(file, **{"format": "PNG", **options})
    return read_image(file.getvalue())


def half_white(width: int = 96, height: int = 64) -> Image.Image:
    mask = Image.new("L", (width, height))
    mask.paste(255, (0, 0, width // 2, height))
    return mask


PHOTO = read(Image.effect_noise((96, 64), 90).convert("RGB"))
JOB = Job(H=64, W=96)


def test_the_mask_goes_with_the_image_and_changes_none_of_its_pixels() -> None:
    masked = with_mask(PHOTO, read(half_white()), [JOB])
    assert (masked.sha256, masked.mask_sha256) == (PHOTO.sha256, read(half_white()).sha256)
    image, mask = fit_start(masked.image, width=96, height=64)
    assert image.tobytes() == PHOTO.image.tobytes()
    assert mask
    assert mask.tobytes() == half_white().tobytes()
    assert fit_start(PHOTO.image, width=96, height=64)[1] is None


def test_what_jpeg_leaves_of_black_and_white_is_black_and_white() -> None:
    masked = with_mask(PHOTO, read(half_white(), format="JPEG", quality=60), [JOB])
    assert set(masked.image.getchannel("A").crop((0, 0, 40, 64)).tobytes()) == {255}
    assert set(masked.image.getchannel("A").crop((56, 0, 96, 64)).tobytes()) == {0}


def test_sizes_are_compared_as_people_see_both() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    with_mask(PHOTO, read(half_white().rotate(90, expand=True), exif=exif), [JOB])


def palette(*colours: int) -> Image.Image:
    found = half_white().point(lambda shade: shade and 1).convert("P")
    found.putpalette([*colours, *[9] * 762])
    return found


@pytest.mark.parametrize(
    "mask",
    [
        half_white().convert("1"),
        half_white().convert("RGBA"),
        palette(0, 0, 0, 255, 255, 255),
        half_white().convert("I").point(lambda shade: shade * 255 + 300).convert("I;16"),
        Image.merge("LA", (Image.new("L", (96, 64)), half_white().point(lambda shade: 255 - shade))),
    ],
    ids=["1", "RGBA", "P", "I;16", "black with a hole"],
)
def test_a_mask_of_any_kind_of_pixels_is_the_same_mask(mask: Image.Image) -> None:
    masked = with_mask(PHOTO, read(mask), [JOB])
    assert masked.image.getchannel("A").tobytes() == half_white().tobytes()


def cut_off() -> Image.Image:
    """Only its left edge is white, which square images leave out."""
    mask = Image.new("L", (96, 64))
    mask.paste(255, (0, 0, 8, 64))
    return mask


BAD: list[tuple[Image.Image, str]] = [
    (half_white(64, 96), "it has 64 × 96 pixels, and the initial image 96 × 64: make it as large"),
    (Image.new("L", (96, 64)), "it is nowhere white, so that nothing would change"),
    (Image.new("L", (96, 64), 127), "it is nowhere white"),
    (Image.new("L", (96, 64), "white"), "it is nowhere black, so that nothing would stay"),
    (Image.new("RGBA", (96, 64)), r"it is nowhere black \(what is transparent is white\)"),
    (cut_off(), "it is nowhere white in the images of 64 × 64"),
]


@pytest.mark.parametrize(("mask", "why"), BAD, ids=range(len(BAD)))
def test_a_mask_that_would_do_nothing_of_use_is_refused(mask: Image.Image, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        with_mask(PHOTO, read(mask), [JOB, Job(H=64, W=64)])
