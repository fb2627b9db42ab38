"""Shares a run: a page in the bucket whose links are signed, so that it is seen without an account, for a while."""

from __future__ import annotations

import bisect
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import boto3
import botocore.exceptions
from botocore.config import Config

from scripts.command_line.account.deployment import RETRIES
from scripts.command_line.gallery.local_run import LocalRun, shards_in
from scripts.command_line.results.download import objects_below
from scripts.command_line.terminal.command_error import CommandError, aws_errors_in_words
from userdata.contract.layout import RunKeys
from userdata.contract.status import utc_text
from userdata.page.html import shared_page
from userdata.page.script import to_script

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

# A week is the most that a signature of version 4 may say.
# Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-presigned-url.html
MOST_HOURS = 7 * 24
# With temporary credentials a link has some 1,500 characters, and an image has two: a page of 1.5 MB.
MOST_IMAGES = 500


@dataclass(frozen=True)
class Shared:
    """The page's key and its signed link, how many images it shows, and until when, or perhaps sooner."""

    key: str
    link: str
    images: int
    until: datetime
    may_end_sooner: bool


def check_hours(session: boto3.Session, hours: float, *, now: datetime) -> bool:
    """Whether the links may end sooner than after `hours`, because the credentials do and do not say when.

    Raises `CommandError` for what no link holds: a link ends with the credentials that have signed it.
    """
    if not 0 < hours <= MOST_HOURS:
        raise CommandError(
            f"--share is {hours:g}, but must be hours above 0, {MOST_HOURS} (7 days) at most, for example 24.",
            exit_status=2,
        )
    credentials: Any = session.get_credentials()
    is_temporary = bool(credentials.get_frozen_credentials().token)
    left = _seconds_left(credentials)
    if left is None:
        return is_temporary
    if left < hours * 3600:
        ends = now + timedelta(seconds=left)
        raise CommandError(
            f"Your credentials end at {_minute(ends)}, in {left / 3600:.1f} hours, and every link that they sign "
            f"ends with them, but --share says {hours:g}. Give fewer hours, log in anew for longer ones, or sign with "
            "the keys of an IAM user."
        )
    return False


def _seconds_left(credentials: Any) -> int | None:
    """How long the credentials hold, None where that is not known, or longer than any link.

    botocore tells no time, but whether credentials end within so many seconds; among those of a week, 20 answers find
    it. Long-lived keys cannot be asked.
    """
    ends_within: Callable[[int], bool] | None = getattr(credentials, "refresh_needed", None)
    week = MOST_HOURS * 3600
    if ends_within is None or not ends_within(week):
        return None
    return bisect.bisect_left(range(week), True, key=ends_within)


def share_run(session: boto3.Session, bucket: str, run: LocalRun, hours: float, *, now: datetime) -> Shared:
    """Uploads a page of the run whose links hold for `hours`, beside the run. Nothing becomes public.

    Raises `CommandError`, before anything is uploaded, for what would not work.
    """
    may_end_sooner = check_hours(session, hours, now=now)
    keys = RunKeys(run.facts.run_id, from_image=run.below == "img2img-samples")
    region = _region_of(session, bucket)
    s3 = _client(session, region, "s3v4")
    there = {entry["Key"] for entry in objects_below(s3, bucket, keys.prefix)}
    shards = [
        shard.model_copy(update={"images": [image for image in shard.images if keys.image(image.index) in there]})
        for shard in shards_in(run.folder).values()
    ]
    images = [image.index for shard in shards for image in shard.images]
    if not images:
        raise CommandError(f"{bucket} has no image of {run.facts.run_id} any more, so there is nothing to share.")
    if len(images) > MOST_IMAGES:
        raise CommandError(
            f"{run.facts.run_id} has {len(images):,} images, and a shared page signs a link or two for each: "
            f"{MOST_IMAGES} are the most. Send them as one file: `sd results {run.facts.run_id} --zip`."
        )
    _check_readable(_client(session, region, "s3v4-query"), bucket, keys.image(images[0]))

    def sign(key: str) -> str:
        seconds = int(hours * 3600)
        return s3.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": key}, ExpiresIn=seconds)

    until = now + timedelta(hours=hours)
    links = {index: _links(keys, index, there, sign) for index in images}
    origin = urlsplit(links[images[0]][0])
    sooner = ", or until the keys that have signed it end" if may_end_sooner else ""
    note = f"The images of this page can be seen until {_minute(until)}{sooner}."
    page = shared_page(
        [
            run.facts.model_copy(update={"shards": [], "images": len(images)}).to_script(),
            *(shard.to_script() for shard in shards),
            to_script("links", {"images": links}),
        ],
        images_from=f"{origin.scheme}://{origin.netloc}",
        note=note,
    )
    key = keys.shared(utc_text(now).replace(":", "").partition(".")[0])
    with aws_errors_in_words(f"upload the page to {bucket}"):
        s3.put_object(Bucket=bucket, Key=key, Body=page, ContentType="text/html; charset=utf-8")
    return Shared(key, sign(key), len(images), until, may_end_sooner)


def shared_in_words(shared: Shared, run_id: str) -> str:
    """What the person has to know of the link that was printed."""
    sooner = " They are temporary credentials, whose end is not known here: then the link ends too."
    return (
        f"Whoever has this link sees {shared.images} images of {run_id} until {_minute(shared.until)}, without an "
        f"account.{sooner if shared.may_end_sooner else ''} Nothing has become public. The page is {shared.key}."
    )


def _links(keys: RunKeys, index: int, there: set[str], sign: Callable[[str], str]) -> tuple[str, str]:
    """Of the image and of its thumbnail; the image's twice where there is no thumbnail."""
    full = sign(keys.image(index))
    return full, sign(keys.thumbnail(index)) if keys.thumbnail(index) in there else full


def _region_of(session: boto3.Session, bucket: str) -> str | None:
    with aws_errors_in_words(f"find the region of {bucket}"):
        return session.client("s3", config=RETRIES).head_bucket(Bucket=bucket).get("BucketRegion")


def _client(session: boto3.Session, region: str | None, signature: str) -> S3Client:
    """A client of the bucket's own region and address: elsewhere S3 would lead on, and the signature would not hold."""
    config = Config(signature_version=signature, s3={"addressing_style": "virtual"})
    return session.client("s3", region_name=region or session.region_name, config=RETRIES.merge(config))


def _check_readable(s3: S3Client, bucket: str, key: str) -> None:
    """Asks for the image as a link does, signed in the address. Raises `CommandError` where S3 refuses that."""
    try:
        s3.get_object(Bucket=bucket, Key=key, Range="bytes=0-0")["Body"].close()
    except botocore.exceptions.ClientError as error:
        raise CommandError(
            f"A link reads with the rights of whoever signs it, and yours do not read {key} in {bucket} "
            f"({error.response['Error']['Code']}): with a KMS key of your own you need `kms:Decrypt` for it, and in a "
            "bucket of your own its policy has to let you read by a signed link."
        ) from error


def _minute(time: datetime) -> str:
    return f"{time.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
