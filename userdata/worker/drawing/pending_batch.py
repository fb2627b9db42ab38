"""A batch that the device still computes, or whose pixels it still sends."""

from __future__ import annotations

import time
from collections.abc import Sequence

import torch
from PIL import Image

from userdata.job.image_request import ImageRequest
from userdata.job.run_error import RunError
from userdata.record.drawn_with import DrawnWith
from userdata.worker.between.task import DrawnImage


class PendingBatch:
    """The images of `batch`, whose `colours` the device computes: n × 3 × H × W numbers from 0 to 1.

    Only `images` waits for the device, so that the next batch can be begun meanwhile. `began` is when the batch was
    begun, on `time.monotonic`'s clock. `flags` are the safety checker's answers on the device, or None.
    """

    def __init__(
        self,
        batch: Sequence[ImageRequest],
        colours: torch.Tensor,
        *,
        model: str,
        began: float,
        drawn_with: DrawnWith,
        flags: torch.Tensor | None = None,
    ) -> None:
        self._batch = batch
        self._model = model
        self._began = began
        self._drawn_with = drawn_with
        pixels = (colours.float() * 255).round().to(torch.uint8).permute(0, 2, 3, 1)
        # Asked of the colours, because a pixel made of something that is not a number looks like any other.
        finite = torch.isfinite(colours).all()
        self._pixels = _on_its_way(pixels)
        self._finite = _on_its_way(finite)
        self._flags = None if flags is None else _on_its_way(flags)
        self._arrival: torch.cuda.Event | None = None
        if colours.is_cuda:
            self._arrival = torch.cuda.Event()  # type: ignore[no-untyped-call]
            self._arrival.record()

    def images(self, *, not_before: float = 0.0) -> list[DrawnImage]:
        """Waits for the images. Their time counts from when the batch began, or from `not_before` if that is later.

        Raises `RunError` when the model has computed something that is not a number.
        """
        if self._arrival is not None:
            self._arrival.synchronize()
        seconds = (time.monotonic() - max(self._began, not_before)) / len(self._batch)
        if not bool(self._finite):
            raise RunError(
                f"The model {self._model} computed something that is not a number, which would be a black image. Use "
                "another Sampler or a smaller GuidanceScale."
            )
        flags = [None] * len(self._batch) if self._flags is None else [bool(flag) for flag in self._flags]
        return [
            DrawnImage(request.index, Image.fromarray(pixels), seconds, self._drawn_with, flagged)
            for request, pixels, flagged in zip(self._batch, self._pixels.numpy(), flags, strict=True)
        ]


def _on_its_way(tensor: torch.Tensor) -> torch.Tensor:
    """A copy of `tensor` in the CPU's memory. From a GPU, the copy is page-locked and filled in the background."""
    if not tensor.is_cuda:
        return tensor.contiguous()
    copy = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
    return copy.copy_(tensor, non_blocking=True)
