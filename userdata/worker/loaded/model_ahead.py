"""Reads the model's weights and prepares the GPU, while the libraries that make the model are still imported."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from userdata.contract.catalogue import find_model
from userdata.job.image_request import ImageRequest
from userdata.job.job import Job
from userdata.worker.drawing.batches import kinds_of
from userdata.worker.process.settings import Settings

if TYPE_CHECKING:
    import torch

    from userdata.worker.model.checkpoint_tensors import Tensors

# What draws with a person's own checkpoint, until its tensors are looked at.
USUAL = "StableDiffusionPipeline"


class ModelAhead:
    """The tensors of a model in one file, and a GPU whose libraries are loaded and whose kernels are checked.

    Two threads begin with both at once, and use neither diffusers nor transformers. An error here is dropped: the
    drawing meets it again, where a person can be told.
    """

    def __init__(self, settings: Settings, job: Job, requests: Sequence[ImageRequest], *, beside: int = 0) -> None:
        self._settings = settings
        self._precision = str(job.precision)
        self._in_one_file = not (settings.model_folder / "model_index.json").exists()
        self._pipeline = find_model(job.model).pipeline or USUAL
        self._kinds = [(kind[0], len(kind) + beside) for kind in kinds_of(requests)]
        self._tensors: Tensors | None = None
        self._threads = [self._begin(self._read), self._begin(self._warm_up)]

    def tensors(self) -> Tensors | None:
        """The tensors, if the model is in one file. Hands them out once, so that their memory is free after use.

        Waits for both threads, because while diffusers loads a model, it changes how all threads make PyTorch's
        modules.
        """
        for thread in self._threads:
            thread.join()
        tensors, self._tensors = self._tensors, None
        return tensors

    def _begin(self, work: Callable[[], None]) -> threading.Thread:
        def suppressed() -> None:
            with contextlib.suppress(Exception):
                work()

        thread = threading.Thread(target=suppressed, name=f"model ahead{work.__name__}", daemon=True)
        thread.start()
        return thread

    def _read(self) -> None:
        if not self._in_one_file:
            return
        from userdata.worker.model.checkpoint import checkpoint_in
        from userdata.worker.model.checkpoint_tensors import read_tensors
        from userdata.worker.model.device import choose_dtype

        device = self._device()
        checkpoint = checkpoint_in(self._settings.model_folder)
        self._tensors = read_tensors(checkpoint, device=device, dtype=choose_dtype(device, self._precision))

    def _warm_up(self) -> None:
        device = self._device()
        if device.type == "cuda":
            from userdata.worker.kernels.drawing_time import ways_by_time, work_of
            from userdata.worker.kernels.kernel_check import fused_kernels_work
            from userdata.worker.loaded.warm_gpu import load_libraries

            load_libraries(device)
            work = work_of(self._pipeline)
            if work and any(
                ways_by_time(
                    device,
                    work,
                    steps=one.ddim_steps,
                    images=images,
                    pixels=one.H * one.W,
                    guided=one.guided,
                )[0]
                == "fused"
                for one, images in self._kinds
            ):
                fused_kernels_work(device, of_transformer=not work.unet)

    def _device(self) -> torch.device:
        from userdata.worker.model.device import choose_device

        return choose_device(self._settings.device)
