"""Which images of a run exist when an attempt begins, and which are missing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from userdata.job.image_request import ImageRequest
from userdata.worker.run.run_files import RunFiles


@dataclass(frozen=True)
class Stock:
    """The images by where they are: in the bucket, on this machine's disk alone, or nowhere."""

    in_bucket: Sequence[int] = ()
    on_disk: Sequence[int] = ()
    missing: Sequence[ImageRequest] = ()

    @property
    def resumed(self) -> bool:
        """Whether an earlier attempt made some of the images."""
        return bool(self.in_bucket or self.on_disk)


def take_stock(files: RunFiles, requests: Sequence[ImageRequest]) -> Stock:
    """Looks for the image of each of `requests`. Where a PNG exists, the image is done, because the PNG comes last."""
    keys = {request.index: files.keys.image(request.index) for request in requests}
    listed = files.bucket.keys(files.keys.samples_folder)
    in_bucket = [index for index, key in keys.items() if key in listed]
    on_disk = [index for index, key in keys.items() if key not in listed and files.on_disk(key).exists()]
    done = {*in_bucket, *on_disk}
    return Stock(in_bucket, on_disk, [request for request in requests if request.index not in done])
