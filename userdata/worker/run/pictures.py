"""The pictures of a run on their way: saved with their records, uploaded, counted, and joined to the grid."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING

from PIL import Image

from userdata.contract.atomic_file import write_atomically
from userdata.job.choices import SafetyChecker, Switch
from userdata.job.picture_file import opened_picture
from userdata.record.image_metadata import describe_image, png_with_record
from userdata.record.versions import library_versions
from userdata.worker.bucket.outbox import Outbox
from userdata.worker.drawing.grid import write_grid
from userdata.worker.run.page import Thumbnails
from userdata.worker.run.progress import Progress
from userdata.worker.run.run_files import RunFiles
from userdata.worker.run.run_request import RunRequest

if TYPE_CHECKING:
    from userdata.worker.between.task import DrawnImage

logger = logging.getLogger(__name__)


class Pictures:
    """The pictures of the run that `request` asks for. `progress` hears of each one that has reached the bucket.

    The PNG comes last, on the disk and in the bucket: where a PNG exists, the image is done.
    """

    def __init__(self, files: RunFiles, request: RunRequest, progress: Progress) -> None:
        self._files = files
        self._request = request
        self._progress = progress
        self._versions = library_versions()
        self._images = {files.keys.image(image.index): image.index for image in request.images}
        self._thumbnails = Thumbnails(files.bucket, files.keys)
        self._outbox = Outbox(files.bucket, files.folder, self._arrived)

    def save(self, drawn: DrawnImage) -> None:
        """Writes the image and its record to the disk, and sends both. May be called from several threads."""
        request, keys = self._request, self._files.keys
        record = describe_image(
            request.job,
            request.images,
            drawn.index,
            run_id=keys.run_id,
            seconds=drawn.seconds,
            drawn_with=drawn.drawn_with,
            versions=self._versions,
            initial_image=request.initial_image,
            flagged=drawn.flagged,
        )
        write_atomically(self._files.on_disk(keys.image_metadata(drawn.index)), record.to_json())
        write_atomically(self._files.on_disk(keys.image(drawn.index)), png_with_record(drawn.image, record))
        if drawn.flagged:
            done = "withheld" if request.job.safety_checker == SafetyChecker.withhold else "kept, and marked"
            logger.warning("The safety checker flagged image %d: it is %s", drawn.index, done)
            self._progress.one_more_flagged()
        self.send(drawn.index)

    def send(self, index: int) -> None:
        """Uploads image `index` and its record from the disk, in the background."""
        self._outbox.send(self._files.keys.image_metadata(index), self._files.keys.image(index), picture=True)

    def save_grid(self) -> None:
        """Makes the grid of all images, and sends it; nothing with SkipGrid, or where the grid would be too large."""
        request, key = self._request, self._files.keys.grid(0)
        if request.job.skip_grid == Switch.on:
            return
        try:
            if write_grid(self._files.on_disk(key), self._all(), request.job, request.images):
                self._outbox.send(key)
        except ValueError as error:  # an image that an earlier attempt left in the bucket, and others have changed
            logger.warning("No grid, because one of the images is none: %s", error)

    def send_file(self, key: str) -> None:
        """Uploads another file of the run from the disk, in the background."""
        self._outbox.send(key)

    def finish(self) -> None:
        """Waits until all that was sent is in the bucket. Raises `RunError` when an upload has failed."""
        self._outbox.finish()

    def _arrived(self, key: str) -> None:
        """Counts an image that is in the bucket, and makes its thumbnail: on one of the threads that upload."""
        if key in self._images:
            self._progress.one_more_image()
            self._thumbnails.send(self._images[key], lambda: self._files.read(key))

    def _all(self) -> Iterator[Image.Image]:
        for image in self._request.images:
            key = self._files.keys.image(image.index)
            with opened_picture(self._files.read(key), ("PNG",)) as file:
                picture = file.convert("RGB")
            yield picture
