"""Draws the missing images of a job, batch after batch, and hands each image on as soon as it is finished."""

from __future__ import annotations

import contextlib
import functools
import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import torch
from diffusers import DiffusionPipeline
from PIL import Image

from userdata.job.image_request import ImageRequest
from userdata.job.job import Job
from userdata.record.drawn_with import Execution
from userdata.worker.drawing.batches import kinds_of, next_batch
from userdata.worker.drawing.drawing_hooks import DrawingHooks
from userdata.worker.drawing.finishing import Finishing
from userdata.worker.drawing.generate import begin_batch, out_of_memory, prepare_sampler
from userdata.worker.drawing.pace import Pace
from userdata.worker.drawing.pending_batch import PendingBatch
from userdata.worker.drawing.prepared import Prepared
from userdata.worker.drawing.weighted_prompts import chunks_in
from userdata.worker.kernels.compiled_here import remember_compiled
from userdata.worker.kernels.execution import can_be_fused, is_transformer
from userdata.worker.model.lora import Loras

logger = logging.getLogger(__name__)

# PNGs that are written at once. One takes a twentieth of a second, for most of which other threads can run, and the
# machine waits for the last ones.
AT_ONCE = 4


class Drawing:
    """Draws `requests`, which are missing of the `total` images of `job`, with `pipeline` and `loras`.

    Other threads finish the images of a batch while the next batch is being drawn. Whatever ends the drawing, the
    images that are drawn are finished first. `prepared` outlives the drawing; without one, nothing stays prepared.
    `beside` is as for a `Task`.
    """

    def __init__(
        self,
        pipeline: DiffusionPipeline,
        job: Job,
        requests: Sequence[ImageRequest],
        *,
        total: int,
        beside: int = 0,
        initial_image: Image.Image | None,
        hooks: DrawingHooks,
        loras: Loras | None = None,
        prepared: Prepared | None = None,
    ) -> None:
        self._pipeline = pipeline
        self._job = job
        self._requests = requests
        self._total = total
        self._beside = beside
        self._initial_image = initial_image
        self._hooks = hooks
        self._loras = loras
        self._prepared = prepared or Prepared()
        self._stays_prepared = prepared is not None
        self._own_scheduler = pipeline.scheduler
        self._pace = Pace(len(requests))
        self._finishing = Finishing(self._finish)
        self._chunks_in = functools.cache(functools.partial(chunks_in, pipeline))
        self._in_tiles = bool(pipeline.vae.use_tiling)
        # Of the kind that was drawn last.
        self._last: list[ImageRequest] = []
        self._execution: Execution = "eager"
        self._largest = 1
        self._finished = 0
        self._finished_at = 0.0

    def do(self) -> None:
        """Draws all images. Raises `RunError` with a sentence for a person, and what the hooks raise."""
        from_image = self._initial_image is not None
        try:
            for kind in kinds_of(self._requests, self._length):
                one, left = kind[0], kind
                if self._loras and self._loras.would_change(one.loras or {}):
                    self._prepared.release()
                    self._loras.apply(one.loras or {})
                self._decode_whole_unless(one.upscale > 1)
                prepare_sampler(self._pipeline, one, self._own_scheduler.config, from_image=from_image)
                largest = len(kind)
                while left:
                    drawn, largest = self._draw_while_memory_suffices(left, largest)
                    left = left[drawn:]
        except BaseException:
            with contextlib.suppress(Exception):  # the first failure is the one to tell
                self._finishing.close()
            raise
        finally:
            # The next drawing makes its sampler from the checkpoint's own scheduler, not from what this one needed.
            self._pipeline.scheduler = self._own_scheduler
            if not self._stays_prepared:
                self._prepared.release()
        self._finishing.close()

    def rehearse(self, leave_if_asked: Callable[[], None]) -> None:
        """Draws the last batch once more, with fused kernels and for nobody.

        So the kernels are loaded and everything is recorded when a next job wants such images. Raises what
        `leave_if_asked` raises, which is called at each step.
        """
        from_image = self._initial_image is not None
        try:
            self._prepared.prepare(self._pipeline, self._last, asked=self._job.n_samples, execution="fused")
            prepare_sampler(self._pipeline, self._last[0], self._own_scheduler.config, from_image=from_image)
            begin_batch(
                self._pipeline,
                self._job,
                next_batch(self._last, self._largest),
                initial_image=self._initial_image,
                on_step=lambda _: leave_if_asked(),
                execution="fused",
            )
        finally:
            self._pipeline.scheduler = self._own_scheduler

    @property
    def pipeline_to_rehearse(self) -> DiffusionPipeline | None:
        """The pipeline, if its last batch was drawn without the fused kernels that there are for it."""
        return self._pipeline if self._last and can_be_fused(self._pipeline) and self._execution != "fused" else None

    def _decode_whole_unless(self, upscaled: bool) -> None:
        """An upscaled image is decoded in tiles, as is what did not fit as a whole before in this drawing."""
        if upscaled or self._in_tiles:
            self._pipeline.vae.enable_tiling()
        else:
            self._pipeline.vae.disable_tiling()

    def _length(self, request: ImageRequest) -> int:
        """In chunks. With texts of one length, the length of one image's text changes no other image."""
        return max(self._chunks_in(request.prompt), self._chunks_in(request.negative_prompt))

    def _draw_while_memory_suffices(self, kind: list[ImageRequest], largest: int) -> tuple[int, int]:
        """Draws images of one kind, at most `largest` at once, until all are drawn or the memory is full.

        Returns how many are drawn, and the largest number to go on with.
        """
        execution, fits = self._prepared.prepare(self._pipeline, kind, asked=self._job.n_samples, beside=self._beside)
        largest = min(largest, fits)
        self._last, self._execution, self._largest = kind, execution, largest
        drawn = 0
        batch = kind
        try:
            while batch := next_batch(kind[drawn:], largest):
                self._hooks.begin_batch()
                self._finishing.hand_over(self._begin(batch, execution))
                drawn += len(batch)
        except torch.OutOfMemoryError as error:
            largest = max(1, len(batch) // 2)
            if len(batch) > 1:
                logger.warning("The GPU's memory does not suffice for %d images at once: now %d", len(batch), largest)
            elif _decode_in_tiles(self._pipeline, batch[0]):
                self._in_tiles = True
                logger.warning("The GPU's memory does not suffice for an image as a whole: now it is decoded in tiles")
            else:
                raise out_of_memory(batch) from error
            self._prepared.release()
        return drawn, largest

    def _begin(self, batch: list[ImageRequest], execution: Execution) -> PendingBatch:
        def step(share: float) -> None:
            self._hooks.leave_if_asked()
            self._hooks.estimate(self._pace.remaining_seconds(self._pace.done + share * len(batch)))

        pending = begin_batch(
            self._pipeline,
            self._job,
            batch,
            initial_image=self._initial_image,
            on_step=step,
            execution=execution,
            flags_of=self._hooks.flags_of,
        )
        if execution == "fused":
            remember_compiled(self._pipeline.device, of_transformer=is_transformer(self._pipeline))
        self._pace.done += len(batch)
        return pending

    def _finish(self, pending: PendingBatch) -> None:
        drawn = pending.images(not_before=self._finished_at)
        self._finished_at = time.monotonic()
        with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="image") as threads:
            for finished in [threads.submit(self._hooks.finish, image) for image in drawn]:
                finished.result()
        self._finished += len(drawn)
        logger.info(
            "%d of %d images are drawn, %.2f s each",
            self._total - len(self._requests) + self._finished,
            self._total,
            drawn[0].seconds,
        )


def _decode_in_tiles(pipeline: DiffusionPipeline, request: ImageRequest) -> bool:
    """Makes `pipeline` decode in overlapping tiles, when the GPU's memory does not hold the decoder's maps of an image.

    False when it does so already, or when one tile holds the image of `request`. The decoder normalises each tile by
    itself, so that colours differ slightly from those of the whole. The seams are blended. This is for images that
    could not be made otherwise.
    """
    vae = pipeline.vae
    if vae.use_tiling or max(request.size) <= vae.tile_sample_min_size:
        return False
    vae.enable_tiling()
    return True
