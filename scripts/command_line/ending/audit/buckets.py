"""The buckets with results. They outlive a stack on purpose, and cost money for what they hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import botocore.exceptions
from rich.filesize import decimal

from scripts.command_line.account.results_bucket import holds_anything
from scripts.command_line.ending.audit.leftover import Leftover, is_ours, stack_of, tags_of
from scripts.command_line.ending.audit.rates import MonthlyRates
from userdata.contract.layout import CACHE

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

NO_TAGS = ("NoSuchTagSet", "NoSuchBucket")
# Other people's buckets may be listed and not looked into.
NOT_FOR_US = ("AccessDenied", "AccessDeniedException", "PermanentRedirect", "AllAccessDisabled")


def buckets(s3: S3Client, rates: MonthlyRates) -> Iterator[Leftover]:
    """The account's buckets that carry the project's tag and are not empty, in every region."""
    names = [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda name: (name, _tags(s3, name)), names))
    for name, tags in found:
        if is_ours(tags) and holds_anything(s3, name):
            yield _described(s3, rates, name, tags)


def _tags(s3: S3Client, name: str) -> dict[str, str]:
    try:
        return tags_of(s3.get_bucket_tagging(Bucket=name)["TagSet"])
    except botocore.exceptions.ClientError as error:
        if error.response["Error"]["Code"] in (*NO_TAGS, *NOT_FOR_US):
            return {}
        raise


def _described(s3: S3Client, rates: MonthlyRates, name: str, tags: dict[str, str]) -> Leftover:
    size: Counter[str] = Counter()
    images = 0
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=name):
        for entry in page.get("Contents", []):
            size["cache" if entry["Key"].startswith(CACHE) else "results"] += entry["Size"]
            images += "/samples/" in entry["Key"] and entry["Key"].endswith(".png")
    detail = f"{images} images, {decimal(size['results'])}"
    if size["cache"]:
        detail += f"; cache {decimal(size['cache'])}, which S3 deletes after 30 days"
    return Leftover(
        "bucket",
        name,
        detail,
        rates.bucket(size.total()),
        f"aws s3 rb --force s3://{name}",
        stack_of(tags),
        is_result=True,
    )
