"""What a run asks of what draws, and what the run wants to hear meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from PIL import Image

from userdata.job.image_request import ImageRequest
from userdata.job.job import Job

if TYPE_CHECKING:
    from userdata.worker.drawing.pending_batch import DrawnImage


@dataclass(frozen=True)
class Task:
    """The images `missing` of the `total` images of `job`, and the image that they start from, if any.

    `ready` hears that everything is loaded. `save`, `begin_batch`, `leave_if_asked` and `estimate` are those of the
    `DrawingHooks`. There is no bucket and no queue among all this, so that what draws needs neither.
    """

    job: Job
    missing: Sequence[ImageRequest]
    total: int
    initial_image: Image.Image | None
    ready: Callable[[], None]
    save: Callable[[DrawnImage], None]
    begin_batch: Callable[[], None]
    leave_if_asked: Callable[[], None]
    estimate: Callable[[float], None]
