"""The buckets with results. They outlive a stack on purpose, and cost money for what they hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from rich.filesize import decimal

from scripts.command_line.account.results_bucket import holds_anything
from scripts.command_line.ending.audit.leftover import Leftover, stack_of
from scripts.command_line.ending.audit.rates import MonthlyRates
from userdata.contract.layout import CACHE, RUNS

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


def buckets(s3: S3Client, rates: MonthlyRates, ours: Mapping[str, Mapping[str, str]]) -> Iterator[Leftover]:
    """The buckets of the region that stacks made, but for empty ones.

    Those of other regions may belong to stacks that stand there, which nobody asks here.
    """
    tags = {arn.rpartition(":")[2]: tags for arn, tags in ours.items() if ":s3:" in arn}
    for bucket in s3.list_buckets(BucketRegion=rates.region)["Buckets"]:
        if bucket["Name"] in tags and holds_anything(s3, bucket["Name"]):
            yield _described(s3, rates, bucket["Name"], tags[bucket["Name"]])


def in_own_bucket(s3: S3Client, rates: MonthlyRates, name: str, stack: str) -> Iterator[Leftover]:
    """What a stack left in a person's own bucket: its images, and the cache, which no rule of ours deletes."""
    size, images = _sizes(s3, name, RUNS)
    if size["results"]:
        detail = f"{images} images, {decimal(size['results'])}, in a bucket of yours"
        command = f"aws s3 rm --recursive s3://{name}/{RUNS}"
        yield Leftover("bucket", name, detail, rates.bucket(size["results"]), command, stack, is_result=True)
    size, _ = _sizes(s3, name, CACHE)
    if size["cache"]:
        detail = f"{decimal(size['cache'])}, which shortens the next first boot"
        command = f"aws s3 rm --recursive s3://{name}/{CACHE}"
        yield Leftover("cache", name, detail, rates.bucket(size["cache"]), command, stack)


def _sizes(s3: S3Client, name: str, prefix: str = "") -> tuple[Counter[str], int]:
    """The bytes of the cache and of everything else, and the number of images."""
    size: Counter[str] = Counter()
    images = 0
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=name, Prefix=prefix):
        for entry in page.get("Contents", []):
            size["cache" if entry["Key"].startswith(CACHE) else "results"] += entry["Size"]
            images += "/samples/" in entry["Key"] and entry["Key"].endswith(".png")
    return size, images


def _described(s3: S3Client, rates: MonthlyRates, name: str, tags: Mapping[str, str]) -> Leftover:
    size, images = _sizes(s3, name)
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
