"""A loaded model, from run to run: the pipelines of its networks, its LoRAs, the safety checker beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from diffusers import DiffusionPipeline

from userdata.job.image_request import ImageRequest
from userdata.worker.drawing.generate import FlagsOf
from userdata.worker.drawing.prepared import Prepared
from userdata.worker.drawing.safety_classifier import SafetyClassifier
from userdata.worker.loaded.file_stamp import stamp
from userdata.worker.model.lora import Loras, want_different_loras
from userdata.worker.model.pipeline import for_image_to_image


class LoadedModel:
    """The model of `pipeline`. `prepared` is what was last drawn with it. With `stays`, another run may follow."""

    def __init__(self, pipeline: DiffusionPipeline, *, stays: bool) -> None:
        self.prepared = Prepared()
        self._pipelines = {False: pipeline}
        self._precision = pipeline.vae.dtype
        self._stays = stays
        self._loras: Loras | None = None
        self._loras_are: object = None
        self._checker: SafetyClassifier | None = None
        self._checker_is: object = None

    def pipeline(self, *, from_image: bool) -> DiffusionPipeline:
        """The pipeline for text to image, or for image to image, as a model that was just loaded has it."""
        if from_image not in self._pipelines:
            self._pipelines[from_image] = for_image_to_image(self._pipelines[False])
        pipeline = self._pipelines[from_image]
        pipeline.vae.disable_tiling()
        if pipeline.vae.dtype != self._precision:  # memory that ran out in the decoder of XL leaves it in the other one
            self.prepared.release()
            pipeline.vae.to(self._precision)
        return pipeline

    def takes_other_loras(self) -> bool:
        """Whether the model's own weights can be had again."""
        return self._loras is None or self._loras.restorable

    @torch.no_grad()
    def loras(self, files: Mapping[str, Path], requests: Sequence[ImageRequest]) -> Loras | None:
        """The LoRAs for `requests`, by their names; those of an earlier run are taken out of the weights.

        None without any. Raises `RunError` for a file that is none or does not fit.
        """
        wanted = [(name, stamp(file)) for name, file in files.items()]
        if wanted != self._loras_are:
            if self._loras and self._loras.would_change({}):
                self.prepared.release()
                self._loras.apply({})
            self._loras = self._loras_are = None
            if files:
                self._loras = Loras(
                    self._pipelines[False],
                    files,
                    restorable=want_different_loras(requests),
                    restorable_if_room=self._stays,
                )
            self._loras_are = wanted
        return self._loras

    def checker(self, file: Path | None) -> FlagsOf | None:
        """The safety checker of `file`, None for None.

        A checker that is not wanted is freed, because the free memory decides how many images are drawn at once.
        """
        wanted = file and stamp(file)
        if wanted != self._checker_is:
            self.prepared.release()
            self._checker = None
            self._checker = SafetyClassifier(file, device=self._pipelines[False].device) if file else None
            self._checker_is = wanted
        return self._checker.flags if self._checker else None

    def close(self) -> None:
        """Leaves the networks as they were, so that nothing refers to them any more."""
        self.prepared.release()
