"""The image that image to image starts from: fetched from the bucket, turned upright, fitted to the job's size."""

from __future__ import annotations

import io
import logging

from botocore.exceptions import BotoCoreError, ClientError
from PIL import Image, ImageOps

from userdata.worker.bucket import Bucket
from userdata.worker.run_error import RunError

RULE = "the key of a PNG, JPEG or WebP image in the results bucket, for example inputs/horse.png"
FORMATS = ("PNG", "JPEG", "WEBP")

logger = logging.getLogger(__name__)


def fetch_initial_image(bucket: Bucket, key: str, *, width: int, height: int) -> Image.Image:
    """The image at `key` as RGB, `width` × `height` pixels.

    It is scaled until it covers that size, and what stands out at two opposite sides is cut off evenly. Rejected:
    stretching, which turns a portrait into a caricature; the image's own size, as the original script takes it, which
    would ignore the job's. Raises `RunError` when there is no such image or it cannot be read.
    """
    try:
        content = bucket.get(key)
    except (BotoCoreError, ClientError) as error:
        raise RunError(
            f"InitImage is {key!r}, but must be {RULE}; the bucket {bucket.name} answers: {error}."
        ) from error
    if content is None:
        raise RunError(
            f"InitImage is {key!r}, but must be {RULE}; the bucket {bucket.name} has no such object, "
            f"so upload it first: aws s3 cp FILE 's3://{bucket.name}/{key}'."
        )
    try:
        image = Image.open(io.BytesIO(content), formats=FORMATS)
        upright = ImageOps.exif_transpose(image).convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise RunError(
            f"InitImage is {key!r}, but must be {RULE}; this object of {len(content):,} bytes cannot be read as one "
            f"({error})."
        ) from error
    fitted = ImageOps.fit(upright, (width, height), Image.Resampling.LANCZOS)
    logger.info("The initial image %s of %d × %d is fitted to %d × %d", key, *upright.size, width, height)
    return fitted
