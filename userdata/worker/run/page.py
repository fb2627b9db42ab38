"""The page of a run, as the machine that draws writes it: thumbnails, shards, and at the end the facts.

Nothing of it is worth an image: whatever goes wrong here is a line in the log, and `sd gallery` makes what is missing.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence

from userdata.batch.documents import Batch
from userdata.contract.layout import RunKeys
from userdata.contract.status import utc_text
from userdata.page.batch_facts import read_shares, with_shares
from userdata.page.facts import Facts, facts_of_run
from userdata.page.html import run_page
from userdata.page.shard import make_shards
from userdata.page.thumbnail import thumbnail_of
from userdata.record.image_metadata import ImageRecord
from userdata.worker.bucket.bucket import Bucket

logger = logging.getLogger(__name__)


class Thumbnails:
    """Uploads the thumbnails of a run's images. Thread-safe, and to be called where an upload may take its time."""

    def __init__(self, bucket: Bucket, keys: RunKeys) -> None:
        self._bucket = bucket
        self._keys = keys
        self._failed = False

    def send(self, index: int, read: Callable[[], bytes]) -> None:
        """Uploads that of image `index`, whose PNG `read` has. Never raises; after a failure no other is tried."""
        if self._failed:
            return  # with all their attempts, they would hold up the images that follow
        try:
            self._bucket.put_once(self._keys.thumbnail(index), thumbnail_of(read()))
        except Exception as error:  # noqa: BLE001
            self._failed = True
            logger.warning("No more thumbnails of %s, because one failed: %s", self._keys.run_id, error)


def publish_shards(bucket: Bucket, keys: RunKeys, records: Sequence[ImageRecord], *, name: str = "") -> list[str]:
    """Uploads what the page says of the images, and returns the shards' names. Never raises.

    `name` is that of a unit, which is one shard.
    """
    names: list[str] = []
    try:
        for number, shard in enumerate(make_shards(records)):
            names.append(name or f"{number:05}")
            bucket.put_once(keys.page_shard(names[-1]), shard.to_script())
    except Exception as error:  # noqa: BLE001
        logger.warning("The page of %s is without some images: %s", keys.run_id, error)
    return names


def publish_run(
    bucket: Bucket, keys: RunKeys, records: Sequence[ImageRecord], *, started_at: str, report: bytes, gpu: bytes | None
) -> None:
    """Writes the page of a run whose images are all there. Never raises."""
    if not records:
        return
    job = records[0].job
    title = str(job.get("from_file", "")).rpartition("/")[2] or str(job.get("prompt", ""))
    shards = publish_shards(bucket, keys, records)
    _publish(
        bucket,
        keys,
        lambda: facts_of_run(
            keys.run_id,
            title=title,
            model=str(job.get("model", "")),
            started_at=started_at,
            images=len(records),
            shards=shards,
            report=report,
            gpu=gpu,
        ),
    )


def publish_batch(bucket: Bucket, run_id: str, batch: Batch) -> None:
    """Writes the page of a batch that has ended; its units have written their shards. Never raises."""
    keys = RunKeys(run_id)
    _publish(
        bucket,
        keys,
        lambda: with_shares(
            facts_of_run(
                run_id,
                title=batch.title,
                model=batch.model,
                started_at=utc_text(batch.asked_at),
                images=batch.images,
                shards=list(_names(bucket.sorted_keys(keys.page_shards))),
            ),
            read_shares(bucket.get(key) or b"" for key in bucket.sorted_keys(keys.machines)),
        ),
    )


def _names(keys: Iterable[str]) -> Iterable[str]:
    return (key.rpartition("/")[2].removesuffix(".js") for key in keys)


def _publish(bucket: Bucket, keys: RunKeys, facts: Callable[[], Facts]) -> None:
    """The page last, since whoever sees it expects what it loads."""
    try:
        bucket.put(keys.page_facts, facts().to_script())
        bucket.put(keys.index, run_page())
    except Exception as error:  # noqa: BLE001
        logger.warning("%s could not be written: `sd gallery` makes the page. %s", keys.index, error)
