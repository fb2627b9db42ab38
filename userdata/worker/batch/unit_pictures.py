"""The pictures of a unit on their way to the bucket, each with its record."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

from pydantic import ValidationError

from userdata.batch.unit import OF_AN_IMAGE
from userdata.contract.layout import RunKeys
from userdata.job.image_request import ImageRequest
from userdata.job.initial_image import InitialImage
from userdata.job.job import Job
from userdata.record.image_metadata import ImageRecord, describe_image, png_with_record
from userdata.record.versions import library_versions
from userdata.worker.bucket.bucket import Bucket
from userdata.worker.bucket.outbox import AT_ONCE
from userdata.worker.run.page import Thumbnails, publish_shards

if TYPE_CHECKING:
    from userdata.worker.between.task import DrawnImage


class UnitPictures:
    """Uploads the images of `requests`, which share `job`, from memory: a unit is drawn again if the machine dies.

    `shard` is the name of the unit's shard in the page of the run.
    """

    def __init__(
        self,
        bucket: Bucket,
        keys: RunKeys,
        job: Job,
        requests: Sequence[ImageRequest],
        *,
        initial_image: InitialImage | None,
        shard: str,
    ) -> None:
        self._bucket = bucket
        self._keys = keys
        self._job = job
        self._requests = {request.index: request for request in requests}
        self._initial_image = initial_image
        self._shard = shard
        self._thumbnails = Thumbnails(bucket, keys)
        self._records: dict[int, ImageRecord] = {}
        self._versions = library_versions()
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="unit upload")
        self._uploads: list[Future[None]] = []
        self._failed = False
        self._flags: dict[int, bool] = {}

    @property
    def left(self) -> list[ImageRequest]:
        """What is not drawn yet."""
        return [request for index, request in self._requests.items() if index not in self._flags]

    @property
    def count(self) -> int:
        """How many images the unit has."""
        return len(self._requests)

    @property
    def flagged(self) -> int:
        """How many images the safety checker has flagged."""
        return sum(self._flags.values())

    def save(self, drawn: DrawnImage) -> None:
        """Makes the PNG, and uploads it and its record, in the background. May be called from several threads.

        Rejected: to make the PNG before the return, because the card would wait for those of a unit's last batch.
        """
        self._uploads.append(self._threads.submit(self._upload, drawn))
        self._flags[drawn.index] = bool(drawn.flagged)

    def finish(self) -> None:
        """Waits until all is in the bucket. Raises botocore's error when something is not."""
        self._threads.shutdown(wait=True)
        for upload in self._uploads:
            upload.result()
        if self.left:
            return  # the unit is drawn again: a shard of a part of it would stay
        records = [self._records[index] for index in sorted(self._records)]
        publish_shards(self._bucket, self._keys, records, name=self._shard)

    def _upload(self, drawn: DrawnImage) -> None:
        if self._failed:
            return  # with all their attempts, the others would hold up the worker for as long again, each
        record = describe_image(
            _job_of(self._job, self._requests[drawn.index]),
            self._requests,
            drawn.index,
            run_id=self._keys.run_id,
            seconds=drawn.seconds,
            drawn_with=drawn.drawn_with,
            versions=self._versions,
            initial_image=self._initial_image,
            flagged=drawn.flagged,
        )
        self._records[drawn.index] = record
        png = png_with_record(drawn.image, record)
        try:
            self._bucket.put_picture(
                (self._keys.image_metadata(drawn.index), record.to_json()), (self._keys.image(drawn.index), png)
            )
        except Exception:
            self._failed = True
            raise
        self._thumbnails.send(drawn.index, lambda: png)


def _job_of(job: Job, request: ImageRequest) -> Job:
    """The job that would draw this one image; with the default prompt where a job may not have one of its length."""
    own = {**job.model_dump(), **{name: getattr(request, name) for name in OF_AN_IMAGE}, "n_iter": 1, "n_samples": 1}
    try:
        return Job.model_validate(own)
    except ValidationError:
        return Job.model_validate({name: own[name] for name in own if name not in ("prompt", "negative_prompt")})
