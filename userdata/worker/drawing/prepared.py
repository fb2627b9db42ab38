"""Keeps a pipeline prepared for images of one shape: how its networks run, its recordings, the encoded texts."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack

import torch
from diffusers import DiffusionPipeline

from userdata.job.image_request import ImageRequest
from userdata.record.drawn_with import Execution
from userdata.worker.drawing.batch_size import largest_batch
from userdata.worker.drawing.prompt_memory import prompts_remembered
from userdata.worker.drawing.second_pass import share_of_first_pass
from userdata.worker.drawing.texts_ahead import TextsAhead, texts_ahead
from userdata.worker.drawing.weighted_prompts import prompts_weighted
from userdata.worker.kernels.execution import choose_execution, executing, texts_recorded
from userdata.worker.model.large_encoder import large_encoder


class Prepared:
    """What is prepared stays so until other images are wanted, in this run or in a later one, or until `release`.

    How many images are drawn at once is decided before anything is recorded, when the memory is as free as in a new
    process. What is prepared counts for the choice of how the networks run, though, which an image depends on by
    rounding; its record says how they ran.
    """

    def __init__(self) -> None:
        self._open = ExitStack()
        self._for: object = None
        self._execution: Execution | None = None
        self._largest = 0
        self._texts: TextsAhead | None = None

    def prepare(
        self,
        pipeline: DiffusionPipeline,
        kind: Sequence[ImageRequest],
        *,
        asked: int,
        beside: int = 0,
        execution: Execution | None = None,
    ) -> tuple[Execution, int]:
        """Prepares `pipeline` for `kind`, images of one kind; `asked` is the job's n_samples.

        `beside` is how many more like these may follow, which count for the choice of how the networks run, unless
        `execution` says it: then this is for jobs to come, and the encoders of their texts are recorded, too.

        Returns how the networks run, and the largest number of images to draw at once.
        """
        one = kind[0]
        images = round((len(kind) + beside) / share_of_first_pass(one))
        wanted = (id(pipeline), one.H, one.W, one.upscale, len(kind), asked)
        for_others = execution is not None
        execution = execution or choose_execution(
            pipeline,
            steps=one.ddim_steps,
            images=images,
            pixels=one.H * one.W,
            guided=one.guided,
            prepared=self._execution if wanted == self._for else None,
        )
        if wanted != self._for or execution != self._execution:
            self.release()

            def room() -> int:
                return largest_batch(pipeline.device, pixels=_pixels(one), asked=asked, decoded=_decoded(pipeline))

            largest = self._largest = room()
            self._open.enter_context(executing(pipeline, execution, shapes=one.upscale))
            if encoder := large_encoder(pipeline):
                ahead = texts_ahead(pipeline, encoder, has_room=lambda: room() >= largest)
                self._texts = self._open.enter_context(ahead)
            else:
                if for_others:
                    self._open.enter_context(texts_recorded(pipeline))
                self._open.enter_context(prompts_weighted(pipeline))
                self._open.enter_context(prompts_remembered(pipeline))
            self._for, self._execution = wanted, execution
        if self._texts:
            self._texts.expect(kind)
        return execution, self._largest

    def release(self) -> None:
        """Leaves the pipeline as it was, and gives the memory of recordings back.

        Must be called before weights change, because some kernels keep what they compute from weights, and encoded
        texts follow from them too.
        """
        self._for = self._texts = self._execution = None
        self._open.close()
        torch.cuda.empty_cache()


def _pixels(one: ImageRequest) -> int:
    """Of both passes together, because the recordings of both are kept."""
    return one.H * one.W * (1 + one.upscale**2 if one.upscale > 1 else 1)


def _decoded(pipeline: DiffusionPipeline) -> int | None:
    return int(pipeline.vae.tile_sample_min_size) ** 2 if pipeline.vae.use_tiling else None
