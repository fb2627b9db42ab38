"""What goes on costing money when nothing runs: while the instance is stopped, and after the stack is destroyed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.filesize import decimal

from scripts.command_line.account.plan import Plan
from scripts.command_line.cost.estimate import weight_bytes
from scripts.command_line.terminal.command_error import aws_errors_in_words
from userdata.bill.prices import Rates
from userdata.bill.units import GB
from userdata.contract.layout import CACHE

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

# An estimate: random noise, which packs worst of all pictures, takes three bytes a pixel; photographs take about half.
PNG_BYTES_PER_PIXEL = 2
# The environment `ldm` packed, as measured once, beside which the weights lie in the cache.
CACHED_ENVIRONMENT_BYTES = 3_100_000_000


@dataclass(frozen=True)
class Contents:
    """What lies in the bucket, in bytes; `estimated` before there is a bucket."""

    results: int
    cache: int
    estimated: bool


@dataclass(frozen=True)
class Remaining:
    """One thing that goes on costing money: when, what, and US dollars a month."""

    when: str
    what: str
    usd_per_month: float


def expected_contents(plan: Plan) -> Contents:
    """What one run will leave in a new bucket."""
    job = plan.job
    pictures = plan.images_total * 2  # each once more in the grid
    cached = 0 if str(plan.machine.cache) == "off" else CACHED_ENVIRONMENT_BYTES + weight_bytes(job)
    return Contents(
        results=pictures * (job.second_pass_pixels or job.H * job.W) * PNG_BYTES_PER_PIXEL, cache=cached, estimated=True
    )


def bucket_contents(s3: S3Client, bucket: str) -> Contents:
    """What lies in the bucket now. Raises `CommandError` when it cannot be listed."""
    sizes = {True: 0, False: 0}
    with aws_errors_in_words(f"list the bucket {bucket}"):
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket):
            for entry in page.get("Contents", []):
                sizes[entry["Key"].startswith(CACHE)] += entry["Size"]
    return Contents(results=sizes[False], cache=sizes[True], estimated=False)


def remaining(plan: Plan, rates: Rates, contents: Contents) -> list[Remaining]:
    """Everything that goes on costing money. The public address does not, because a stopped instance has none."""
    disk = plan.machine.volume_size
    about = "about " if contents.estimated else ""
    bucket_byte = rates.bucket_gb_month / GB
    # In a person's own bucket no rule of ours deletes it.
    cached = "until deleted" if plan.settings.output_bucket else "for 30 days"
    lines = [
        Remaining("while stopped", f"the disk, {disk} GB", disk * rates.disk_gb_month),
        Remaining("while stopped", "the alarm (the first ten of an account are free)", rates.alarm_month),
        Remaining(
            "until deleted",
            f"results in the bucket, {about}{decimal(contents.results)}",
            contents.results * bucket_byte,
        ),
        Remaining(cached, f"cache in the bucket, {about}{decimal(contents.cache)}", contents.cache * bucket_byte),
    ]
    # A spot instance is never stopped: its disk goes with it.
    return [line for line in lines if not (plan.settings.spot and line.what.startswith("the disk"))]
