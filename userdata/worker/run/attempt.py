"""One attempt at a run: takes stock of what is there, draws what is missing, uploads, and reports."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import threading
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from PIL import Image

from userdata.contract.atomic_file import write_atomically
from userdata.contract.layout import Folders, RunKeys
from userdata.job.choices import Engine, SafetyChecker, Switch
from userdata.job.image_request import ImageRequest
from userdata.job.run_error import RunError, Stopped
from userdata.record.image_metadata import ImageRecord, describe_image, png_with_record
from userdata.record.versions import library_versions
from userdata.worker.bucket.bucket import Bucket
from userdata.worker.bucket.outbox import Outbox
from userdata.worker.drawing.grid import write_grid
from userdata.worker.process.garbage_collection import collector_at_rest
from userdata.worker.process.settings import Settings
from userdata.worker.run.gpu_samples import GpuSamples
from userdata.worker.run.ledger import Ledger
from userdata.worker.run.max_spend import Spending
from userdata.worker.run.model_ahead import ModelAhead
from userdata.worker.run.preparation import Preparation
from userdata.worker.run.progress import Progress
from userdata.worker.run.report import ImageTime, Report, read_boot_phases

if TYPE_CHECKING:
    from userdata.worker.compvis.drawing import CompvisDrawing
    from userdata.worker.drawing.drawing import Drawing
    from userdata.worker.drawing.pending_batch import DrawnImage

logger = logging.getLogger(__name__)


class Attempt:
    """One attempt at a run. Sets the phases of `progress` as it goes; `done` is left to the caller.

    `stop`, once set, ends it within a denoising step.
    """

    def __init__(
        self,
        settings: Settings,
        preparation: Preparation,
        keys: RunKeys,
        bucket: Bucket,
        progress: Progress,
        ledger: Ledger,
        spending: Spending | None,
        stop: threading.Event,
    ) -> None:
        self._settings = settings
        self._job = preparation.job
        self._requests = preparation.requests
        self._initial_image = preparation.initial_image
        self._keys = keys
        self._bucket = bucket
        self._progress = progress
        self._ledger = ledger
        self._spending = spending
        self._stop = stop
        self._folder = settings.state_directory
        self._versions = library_versions()
        self._image_keys = {keys.image(index) for index in range(len(preparation.requests))}
        self._outbox = Outbox(bucket, self._folder, self._sent)
        self._gpu = GpuSamples(self._folder / keys.gpu)
        self._there: set[int] = set()
        self._resumed = False

    def do(self) -> None:
        """The whole run. Whatever ends it, the images that are saved are uploaded first.

        Raises `Stopped` when asked to stop, `MaxSpendReached` before that limit would be passed, and `RunError` with a
        sentence for a person.
        """
        logger.info("The run %s: %d images on %s", self._keys.run_id, len(self._requests), self._settings.instance_id)
        try:
            missing = self._take_stock()
            self._bucket.put(self._keys.job, self._job_document())
            if missing:
                self._draw(missing)
            self._progress.enter("uploading")
            self._save_grid()
            self._send_gpu_samples()
            self._outbox.finish()
        except BaseException:
            with contextlib.suppress(RunError):  # logged already; the first failure is the one to tell
                self._outbox.finish()
            self._report_what_is_there()
            raise
        finally:
            self._gpu.stop()
        self._bucket.put(self._keys.report, self._report(range(len(self._requests))))
        logger.info("The run %s is done", self._keys.run_id)

    def _report_what_is_there(self) -> None:
        """An attempt that ends early has cost money too, and the next one may run on another machine."""
        indices = range(len(self._requests))
        here = [k for k in indices if (self._folder / self._keys.image_metadata(k)).exists()]
        try:
            self._bucket.put(self._keys.report, self._report(here))
        except Exception as error:  # noqa: BLE001  # the failure that ended the attempt is the one to tell
            logger.warning("This attempt's receipt could not be written: %s", error)

    def _take_stock(self) -> list[ImageRequest]:
        """Sends what lies on the disk but not in the bucket; returns the images that are nowhere."""
        there = self._bucket.keys(self._keys.samples_folder)
        self._progress.count(done=len(self._image_keys & there))
        missing = []
        for request in self._requests:
            if self._keys.image(request.index) in there:
                self._there.add(request.index)
                self._resumed = True
            elif (self._folder / self._keys.image(request.index)).exists():
                self._resumed = True
                self._send_image(request.index)
            else:
                missing.append(request)
        if self._resumed:
            logger.info(
                "%d images are there from before, %d are missing", len(self._requests) - len(missing), len(missing)
            )
        return missing

    def _draw(self, missing: list[ImageRequest]) -> None:
        if self._spending:
            self._spending.check()  # before the model: a limit that is reached already must not cost its loading
        self._gpu.start()
        self._progress.enter("model")
        ahead = ModelAhead(self._settings, self._job, missing) if self._job.engine == Engine.diffusers else None
        with collector_at_rest():
            drawing = self._drawing(missing, ahead)
        self._progress.enter("generating")
        drawing.do()

    def _drawing(self, missing: list[ImageRequest], ahead: ModelAhead | None) -> Drawing | CompvisDrawing:
        # Imported here, since it takes seconds: a run that is done, or refused, does without.
        from userdata.worker.compvis.drawing import CompvisDrawing
        from userdata.worker.drawing.cut_prompts import tell_of_cut_prompts
        from userdata.worker.drawing.drawing import Drawing
        from userdata.worker.drawing.drawing_hooks import DrawingHooks
        from userdata.worker.run.equipment import equip, load_model

        job, settings = self._job, self._settings
        equipment = equip(settings, job)
        initial_image = self._initial_image.image if self._initial_image else None
        hooks = DrawingHooks(
            self._save_image,
            image_steps=equipment.image_steps,
            before_batch=[self._leave_if_asked, *([self._spending.check_before_batch] if self._spending else [])],
            leave_if_asked=self._leave_if_asked,
            estimate=self._progress.estimate,
            flags_of=equipment.flags_of,
        )
        if ahead is None:
            return CompvisDrawing(
                settings, job, missing, initial_image=initial_image, device=equipment.device, hooks=hooks
            )
        pipeline = load_model(settings, job, equipment.device, ahead)
        tell_of_cut_prompts(pipeline, missing)
        return Drawing(pipeline, job, missing, total=len(self._requests), initial_image=initial_image, hooks=hooks)

    def _leave_if_asked(self) -> None:
        if self._stop.is_set():
            raise Stopped

    def _save_image(self, drawn: DrawnImage) -> None:
        record = describe_image(
            self._job,
            self._requests,
            drawn.index,
            run_id=self._keys.run_id,
            seconds=drawn.seconds,
            drawn_with=drawn.drawn_with,
            versions=self._versions,
            initial_image_sha256=self._initial_image.sha256 if self._initial_image else None,
            flagged=drawn.flagged,
        )
        # The PNG comes last, on the disk as in the bucket: where it is, the image is done.
        write_atomically(self._folder / self._keys.image_metadata(drawn.index), record.to_json())
        write_atomically(self._folder / self._keys.image(drawn.index), png_with_record(drawn.image, record))
        if drawn.flagged:
            self._tell_flagged(drawn.index)
        self._send_image(drawn.index)

    def _tell_flagged(self, index: int) -> None:
        done = "withheld" if self._job.safety_checker == SafetyChecker.withhold else "kept, and marked"
        logger.warning("The safety checker flagged image %d: it is %s", index, done)
        self._progress.one_more_flagged()

    def _send_image(self, index: int) -> None:
        self._outbox.send(self._keys.image_metadata(index), self._keys.image(index))

    def _sent(self, key: str) -> None:
        if key in self._image_keys:
            self._progress.one_more_image()

    def _save_grid(self) -> None:
        if self._job.skip_grid == Switch.on:
            return
        key = self._keys.grid(0)
        if write_grid(self._folder / key, self._images(), self._job, self._requests):
            self._outbox.send(key)

    def _send_gpu_samples(self) -> None:
        self._gpu.stop()
        if self._gpu.file.exists():
            self._outbox.send(self._keys.gpu)

    def _images(self) -> Iterator[Image.Image]:
        for index in range(len(self._requests)):
            with Image.open(io.BytesIO(self._content(self._keys.image(index)))) as image:
                yield image.convert("RGB")

    def _content(self, key: str) -> bytes:
        """A file of the run, from the disk or, when an earlier attempt made it on another one, from the bucket."""
        file = self._folder / key
        content = file.read_bytes() if file.exists() else self._bucket.get(key)
        if content is None:
            raise RunError(f"{key} has vanished from the bucket {self._bucket.name} during the run. Deploy again.")
        return content

    def _job_document(self) -> bytes:
        document = {"schema": 1, **self._job.model_dump()}
        return (json.dumps(document, indent=2, ensure_ascii=False) + "\n").encode()

    def _report(self, indices: Iterable[int]) -> bytes:
        records = [ImageRecord.from_json(self._content(self._keys.image_metadata(index))) for index in indices]
        settings = self._settings
        return Report(
            run_id=self._keys.run_id,
            instance_id=settings.instance_id,
            instance_type=settings.instance_type,
            resumed=self._resumed,
            phases=[*read_boot_phases(Folders().boot_timeline), *self._progress.phases()],
            images=[
                ImageTime(file=record.file, seed=record.seed, seconds=record.seconds, flagged=record.flagged)
                for record in records
            ],
            images_flagged=sum(record.flagged is True for record in records),
            gpu=self._gpu.summary(),
            versions=self._versions,
            cost=self._ledger.cost(images=len(self._there | {record.index for record in records})),
        ).to_json()
