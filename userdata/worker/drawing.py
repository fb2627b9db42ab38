"""Draws the missing images of a job, batch after batch, and hands each one on as soon as it is finished."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from diffusers import DiffusionPipeline
from PIL import Image

from userdata.worker.batches import plan_batches
from userdata.worker.generate import DrawnImage, draw_batch, prepare_sampler
from userdata.worker.image_request import ImageRequest
from userdata.worker.job import Job
from userdata.worker.pace import Pace

logger = logging.getLogger(__name__)

ImageStep = Callable[[DrawnImage], DrawnImage]


class Drawing:
    """The drawing of `requests`, the images of `job` that are missing, with `pipeline`.

    `before_batch` is called before each batch: what one of these checks raises ends the drawing, and no batch is begun.
    `image_steps` change or mark each image between its decoding and `save`, in their order. `leave_if_asked` is called
    after every denoising step; what it raises ends the drawing. `estimate` hears the seconds that are left. Whatever
    ends the drawing, the images drawn before have been given to `save`.
    """

    def __init__(
        self,
        pipeline: DiffusionPipeline,
        job: Job,
        requests: Sequence[ImageRequest],
        *,
        initial_image: Image.Image | None,
        before_batch: Sequence[Callable[[], None]],
        image_steps: Sequence[ImageStep],
        save: Callable[[DrawnImage], None],
        leave_if_asked: Callable[[], None],
        estimate: Callable[[float], None],
    ) -> None:
        self._pipeline = pipeline
        self._job = job
        self._requests = requests
        self._initial_image = initial_image
        self._before_batch = before_batch
        self._image_steps = image_steps
        self._save = save
        self._leave_if_asked = leave_if_asked
        self._estimate = estimate
        self._own_scheduler = pipeline.scheduler.config
        self._pace = Pace(len(requests))

    def do(self) -> None:
        """Draws all of them. Raises `RunError` with a sentence for a person, and what the given functions raise."""
        for batch in plan_batches(self._requests, self._job.n_samples):
            for check in self._before_batch:
                check()
            self._draw(batch)

    def _draw(self, batch: list[ImageRequest]) -> None:
        def step(share: float) -> None:
            self._leave_if_asked()
            self._estimate(self._pace.remaining_seconds(self._pace.done + share * len(batch)))

        prepare_sampler(self._pipeline, batch[0], self._own_scheduler)
        drawn = draw_batch(self._pipeline, self._job, batch, initial_image=self._initial_image, on_step=step)
        for image in drawn:
            self._finish(image)
        self._pace.done += len(batch)
        total = self._job.images_total
        logger.info(
            "%d of %d images are drawn, %.2f s each",
            total - len(self._requests) + self._pace.done,
            total,
            drawn[0].seconds,
        )

    def _finish(self, image: DrawnImage) -> None:
        for step in self._image_steps:
            image = step(image)
        self._save(image)
