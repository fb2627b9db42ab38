"""Draws nothing, but pictures that follow from what was asked for, as the real drawing's do."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable

from PIL import Image

from userdata.job.image_request import ImageRequest
from userdata.record.drawn_with import DrawnWith
from userdata.worker.between.task import DrawnImage, Task
from userdata.worker.loaded.loaded import Loaded
from userdata.worker.process.settings import Settings


def picture_of(request: ImageRequest) -> Image.Image:
    """A picture of 8 × 8 that follows from the prompt and the seed."""
    return Image.frombytes("L", (8, 8), hashlib.sha512(f"{request.prompt}/{request.seed}".encode()).digest()).convert(
        "RGB"
    )


def pixels_of(png: bytes) -> bytes:
    """The pixels of a PNG, without what it tells of itself."""
    with Image.open(io.BytesIO(png)) as image:
        return image.tobytes()


class StandIn(Loaded):
    """Stands for what draws, at its seam. Draws `at_once` images in a batch; `before` hears of each task first."""

    def __init__(self, *, at_once: int = 100, before: Callable[[Task], None] = lambda _task: None) -> None:
        super().__init__(stays=True)
        self.drawn: list[list[int]] = []
        self._at_once = at_once
        self._before = before

    def draw(self, settings: Settings, task: Task) -> None:
        self._before(task)
        task.ready()
        for first in range(0, len(task.missing), self._at_once):
            batch = task.missing[first : first + self._at_once]
            task.begin_batch()
            task.leave_if_asked()
            indices = [request.index for request in batch]
            self.drawn.append(indices)
            drawn_with = DrawnWith(
                indices=indices, execution="eager", precision="float32", device="cpu", tiled=False, emphasis=True
            )
            for request in batch:
                task.save(DrawnImage(request.index, picture_of(request), 0.0, drawn_with))
