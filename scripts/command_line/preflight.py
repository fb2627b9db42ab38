"""What can be known before a deploy that CloudFormation finds out only after creating things."""

from __future__ import annotations

import io
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import boto3
import botocore.exceptions
from PIL import Image, UnidentifiedImageError

from scripts.command_line.command_error import CommandError, aws_errors_in_words
from scripts.command_line.deployment import RETRIES, Deployment
from userdata.worker.layout import INPUTS

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


def prepare_initial_image(session: boto3.Session, deployment: Deployment | None, given: str) -> str:
    """The key of the initial image in the results bucket; a file of this machine is uploaded to `inputs/` first.

    Raises `CommandError` when it is neither a file here nor an object there, is no image, or there is no bucket yet.
    """
    file = Path(given)
    if file.is_file():
        _check_image(file.read_bytes(), given)
    if deployment is None:
        there = "no results bucket yet to hold it" if file.is_file() else "no such file here, and no results bucket yet"
        raise CommandError(
            f"InitImage is {given!r}, but must be an image here or in the results bucket: there is {there}. Deploy "
            "once without it; then give it, for example --init-image horse.png."
        )
    s3: S3Client = session.client("s3", config=RETRIES)
    if file.is_file():
        key = str(PurePosixPath(INPUTS) / file.name)
        with aws_errors_in_words(f"upload {given} to {deployment.bucket}"):
            s3.put_object(Bucket=deployment.bucket, Key=key, Body=file.read_bytes())
        return key
    with aws_errors_in_words(f"look for {given} in {deployment.bucket}"):
        try:
            body = s3.get_object(Bucket=deployment.bucket, Key=given)["Body"].read()
        except botocore.exceptions.ClientError as error:
            if error.response["Error"]["Code"] not in ("NoSuchKey", "404"):
                raise
            raise CommandError(
                f"InitImage is {given!r}, but must be a file here or the key of an image in {deployment.bucket}, "
                "for example inputs/horse.png."
            ) from error
    _check_image(body, given)
    return given


def _check_image(content: bytes, given: str) -> None:
    try:
        Image.open(io.BytesIO(content)).verify()
    except (UnidentifiedImageError, OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise CommandError(
            f"InitImage is {given!r}, but must be a PNG, JPEG or WebP image; this file cannot be read as one. "
            "Convert it, for example to horse.png."
        ) from error
