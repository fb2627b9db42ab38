from __future__ import annotations

import io

import pytest
from PIL import Image

from userdata.job.initial_image import fit_image, read_image, size_from
from userdata.job.run_error import RunError
from userdata.worker.bucket.bucket import Bucket
from userdata.worker.run.run_request import fetch_initial_image

RED, BLUE = (255, 0, 0), (0, 0, 255)


def test_sides_that_stand_out_are_cut_evenly_and_nothing_is_stretched(bucket: Bucket) -> None:
    wide = Image.new("RGB", (300, 100), BLUE)
    wide.paste(Image.new("RGB", (100, 100), RED), (100, 0))
    bucket.put("inputs/wide.png", _encoded(wide, "PNG"))
    fitted = fit_image(fetch_initial_image(bucket, "inputs/wide.png").image, width=64, height=64)
    assert fitted.size == (64, 64)
    # Lanczos lets the neighbours' colour shine into the outermost columns.
    assert fitted.crop((6, 0, 58, 64)).getcolors() == [(52 * 64, RED)]


def test_photograph_is_turned_upright(bucket: Bucket) -> None:
    """A telephone stores a portrait as a landscape with the note that it lies on its side."""
    stored = Image.new("RGB", (96, 64), BLUE)
    stored.paste(Image.new("RGB", (48, 64), RED), (0, 0))
    exif = Image.Exif()
    exif[0x0112] = 6
    file = io.BytesIO()
    stored.save(file, format="PNG", exif=exif)
    bucket.put("inputs/photograph.png", file.getvalue())
    upright = fetch_initial_image(bucket, "inputs/photograph.png").image
    assert upright.size == (64, 96)
    assert upright.getpixel((32, 10)) == RED
    assert upright.getpixel((32, 86)) == BLUE


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK", "I;16"])
def test_every_kind_of_pixel_becomes_rgb(bucket: Bucket, mode: str) -> None:
    bucket.put("inputs/x.png", _encoded(Image.new(mode, (80, 80)), "JPEG" if mode == "CMYK" else "PNG"))
    assert fetch_initial_image(bucket, "inputs/x.png").image.mode == "RGB"


def test_grey_of_16_bits_keeps_its_shades() -> None:
    shades = b"".join((shade * 257).to_bytes(2, "little") for shade in range(256))
    file = io.BytesIO()
    Image.frombytes("I;16", (256, 1), shades).save(file, format="PNG")
    read = read_image(file.getvalue()).image
    assert [read.getpixel((shade, 0)) for shade in range(256)] == [(shade,) * 3 for shade in range(256)]


def test_missing_image_is_named_with_how_to_upload_one(bucket: Bucket) -> None:
    with pytest.raises(RunError) as refusal:
        fetch_initial_image(bucket, "inputs/horse.png")
    assert str(refusal.value) == (
        "InitImage is 'inputs/horse.png', but must be the key of a PNG, JPEG, WebP, GIF, BMP or AVIF image in the "
        "results bucket, for example inputs/horse.png; the bucket results has no such object, so upload it first: "
        "`aws s3 cp FILE 's3://results/inputs/horse.png'`."
    )


@pytest.mark.parametrize("content", [b"", b"<html>Log in</html>", b"\x89PNG\r\n\x1a\n" + b"\0" * 40, b"GIF89a" * 9])
def test_unreadable_image_is_refused(bucket: Bucket, content: bytes) -> None:
    bucket.put("inputs/x.png", content)
    with pytest.raises(RunError, match=r"InitImage is 'inputs/x\.png', but must be .* cannot be read"):
        fetch_initial_image(bucket, "inputs/x.png")


def test_cut_off_upload_is_refused(bucket: Bucket) -> None:
    noise = Image.effect_noise((200, 200), 80)
    bucket.put("inputs/x.png", _encoded(noise, "PNG")[:5000])
    with pytest.raises(RunError, match="cannot be read"):
        fetch_initial_image(bucket, "inputs/x.png")


@pytest.mark.parametrize(("given", "taken"), [((640, 512), (640, 512)), ((500, 333), (480, 320)), ((95, 64), (64, 64))])
def test_size_of_the_image_is_rounded_down_as_the_original_does(given: tuple[int, int], taken: tuple[int, int]) -> None:
    assert size_from(Image.new("RGB", given), "x.png") == taken


@pytest.mark.parametrize("size", [(4032, 3024), (640, 63), (2080, 64)])
def test_image_of_a_size_that_no_job_has_is_refused_with_the_way_out(size: tuple[int, int]) -> None:
    with pytest.raises(RunError, match=rf"x\.png has {size[0]} × {size[1]} pixels, .* Give their size"):
        size_from(Image.new("L", size), "x.png")


def _encoded(image: Image.Image, kind: str) -> bytes:
    file = io.BytesIO()
    image.save(file, format=kind)
    return file.getvalue()


def test_what_was_made_of_the_image_is_in_the_log(bucket: Bucket, caplog: pytest.LogCaptureFixture) -> None:
    bucket.put("inputs/x.png", _encoded(Image.new("RGBA", (80, 80)), "PNG"))
    with caplog.at_level("INFO"):
        fetch_initial_image(bucket, "inputs/x.png")
    assert "The initial image is transparent in places: they are white." in caplog.messages
