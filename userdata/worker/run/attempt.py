"""One attempt at a run: takes stock, says what is drawn, draws what is missing, uploads, and reports."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterable, Iterator, Sequence

from userdata.job.image_request import ImageRequest
from userdata.job.job_document import write_job
from userdata.job.run_error import PassingRunError, RunError
from userdata.job.seeds import drawn_seed_in
from userdata.record.image_metadata import ImageRecord
from userdata.record.versions import library_versions
from userdata.worker.between.task import Draws, Task
from userdata.worker.process.settings import Settings
from userdata.worker.run.gpu_samples import GpuSamples
from userdata.worker.run.ledger import Ledger
from userdata.worker.run.limits import Limits
from userdata.worker.run.page import publish_run
from userdata.worker.run.pictures import Pictures
from userdata.worker.run.progress import Progress
from userdata.worker.run.report import ImageTime, PhaseTime, Report
from userdata.worker.run.run_files import RunFiles
from userdata.worker.run.run_request import RunRequest
from userdata.worker.run.stock import Stock, take_stock

logger = logging.getLogger(__name__)


class Attempt:
    """One attempt at the run that `request` asks for. Updates `progress`; the caller sets the final phase, `done`.

    `loaded` draws. `phases_before` are those of the boot that the attempt waited for.
    """

    def __init__(
        self,
        settings: Settings,
        request: RunRequest,
        files: RunFiles,
        progress: Progress,
        ledger: Ledger,
        limits: Limits,
        loaded: Draws,
        *,
        phases_before: Sequence[PhaseTime],
    ) -> None:
        self._settings = settings
        self._request = request
        self._files = files
        self._progress = progress
        self._ledger = ledger
        self._limits = limits
        self._loaded = loaded
        self._phases_before = phases_before
        self._stock = Stock()
        self._pictures = Pictures(files, request, progress)
        self._gpu = GpuSamples(files.on_disk(files.keys.gpu))

    def do(self) -> None:
        """The whole run. Whatever ends the attempt, the images that are saved are uploaded first.

        Raises `Stopped` when asked to stop, `MaxSpendReached` before that limit would be passed, `GaveWay` where
        another run goes first, and `RunError` with a sentence for a person.
        """
        keys, images = self._files.keys, self._request.images
        logger.info("The run %s: %d images on %s", keys.run_id, len(images), self._settings.instance_id)
        try:
            self._take_stock()
            self._write_job()
            if self._stock.missing:
                self._draw(self._stock.missing)
            self._progress.enter("uploading")
            self._pictures.save_grid()
            self._gpu.stop()
            if self._gpu.file.exists():
                self._pictures.send_file(keys.gpu)
            self._pictures.finish()
        except BaseException:
            with contextlib.suppress(RunError):  # logged already; the first failure is the one to tell
                self._pictures.finish()
            self._report_early_end()
            raise
        finally:
            self._gpu.stop()
        records = list(self._records(image.index for image in images))
        report = self._report(records)
        self._files.bucket.put(keys.report, report)
        gpu = self._gpu.file.read_bytes() if self._gpu.file.exists() else None
        publish_run(self._files.bucket, keys, records, started_at=self._progress.started_at, report=report, gpu=gpu)
        logger.info("The run %s is done", keys.run_id)

    def _take_stock(self) -> None:
        """Counts the images in the bucket, and sends those that are on the disk only."""
        self._stock = stock = take_stock(self._files, self._request.images)
        self._progress.count(done=len(stock.in_bucket))
        for index in stock.on_disk:
            self._pictures.send(index)
        if stock.resumed:
            done = len(stock.in_bucket) + len(stock.on_disk)
            logger.info("%d images exist from an earlier attempt, %d are missing", done, len(stock.missing))

    def _write_job(self) -> None:
        """Writes the job, in the place of one whose seed was not drawn yet.

        Raises `PassingRunError` where another machine has drawn another seed since this one looked.
        """
        bucket, key, drawn = self._files.bucket, self._files.keys.job, self._request.drawn_seed
        content = write_job(self._request.job, drawn_seed=drawn)
        if bucket.put_once(key, content):
            return
        found, tag = bucket.get_with_tag(key)
        is_other = drawn is not None and drawn_seed_in(found) not in (None, drawn)
        if is_other or not bucket.put_once(key, content, over=tag):
            raise PassingRunError(
                f"Another machine has begun the run {self._files.keys.run_id} at the same time, with another seed. "
                "Start the instance again, and it goes on with that seed."
            )

    def _draw(self, missing: Sequence[ImageRequest]) -> None:
        self._limits.before_model()
        self._gpu.start()
        self._progress.enter("model")
        initial_image = self._request.initial_image
        self._loaded.draw(
            self._settings,
            Task(
                self._request.job,
                missing,
                total=len(self._request.images),
                initial_image=initial_image.image if initial_image else None,
                ready=lambda: self._progress.enter("generating"),
                save=self._pictures.save,
                begin_batch=self._limits.before_batch,
                leave_if_asked=self._limits.leave_if_asked,
                estimate=self._progress.estimate,
            ),
        )

    def _report_early_end(self) -> None:
        """Writes a receipt: this attempt has cost money too, and the next one may run on another machine."""
        metadata = {image.index: self._files.keys.image_metadata(image.index) for image in self._request.images}
        made_here = [index for index, key in metadata.items() if self._files.on_disk(key).exists()]
        try:
            self._files.bucket.put(self._files.keys.report, self._report(list(self._records(made_here))))
        except Exception as error:  # noqa: BLE001  # the failure that ended the attempt is the one to tell
            logger.warning("This attempt's receipt could not be written: %s", error)

    def _records(self, indices: Iterable[int]) -> Iterator[ImageRecord]:
        """The records of images. One that a later version wrote, or others have spoilt, costs the report its row."""
        for index in indices:
            key = self._files.keys.image_metadata(index)
            try:
                yield ImageRecord.from_json(self._files.read(key))
            except ValueError as error:
                logger.warning("%s is no record of an image, so that the report is without it: %s", key, error)

    def _report(self, records: Sequence[ImageRecord]) -> bytes:
        settings = self._settings
        return Report(
            run_id=self._files.keys.run_id,
            instance_id=settings.instance_id,
            instance_type=settings.instance_type,
            resumed=self._stock.resumed,
            phases=[*self._phases_before, *self._progress.phases()],
            images=[
                ImageTime(file=record.file, seed=record.seed, seconds=record.seconds, flagged=record.flagged)
                for record in records
            ],
            images_flagged=sum(record.flagged is True for record in records),
            gpu=self._gpu.summary(),
            versions=library_versions(),
            cost=self._ledger.cost(images=len({*self._stock.in_bucket, *(record.index for record in records)})),
        ).to_json()
