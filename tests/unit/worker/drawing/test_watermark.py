import numpy
import pytest
from imwatermark import WatermarkDecoder
from PIL import Image

from userdata.job.choices import Switch
from userdata.job.job import Job
from userdata.job.job_fields import WATERMARK_PIXELS
from userdata.worker.drawing.watermark import METHOD, TEXT, with_watermark


def picture(width: int, height: int) -> Image.Image:
    """Grain on grey: the method decides by texture, and reads smooth or strongly contrasted pictures with errors."""
    grain = numpy.random.default_rng(4).normal(128, 8, (height, width, 3))
    return Image.fromarray(grain.clip(0, 255).astype(numpy.uint8))


def decoded(image: Image.Image) -> bytes:
    blue_first = numpy.ascontiguousarray(numpy.asarray(image)[:, :, ::-1])
    return bytes(WatermarkDecoder("bytes", 8 * len(TEXT)).decode(blue_first, METHOD))


@pytest.mark.parametrize("size", [(256, 256), (640, 512), (1024, 1024)])
def test_the_libraries_own_decoder_reads_it_and_no_eye_sees_it(size: tuple[int, int]) -> None:
    image = picture(*size)
    marked = with_watermark(image)
    assert decoded(marked) == b"StableDiffusionV1"
    assert decoded(image) != b"StableDiffusionV1"
    difference = abs(numpy.asarray(marked).astype(int) - numpy.asarray(image).astype(int))
    assert difference.mean() < 3


def test_colours_keep_their_places() -> None:
    red = Image.new("RGB", (256, 256), (200, 30, 30))
    assert numpy.argmax(numpy.asarray(with_watermark(red)).mean(axis=(0, 1))) == 0


def test_a_job_with_smaller_images_is_refused_before_anything_is_drawn() -> None:
    assert WATERMARK_PIXELS == 256 * 256
    assert Job(H=256, W=256, watermark=Switch.on).watermark == "on"
    with pytest.raises(ValueError, match="Watermark is on, but images of 248 x 256 pixels"):
        Job(H=256, W=248, watermark=Switch.on)
