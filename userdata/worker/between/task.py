"""What a run asks of what draws, and what the run wants to hear meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from PIL import Image

from userdata.job.image_request import ImageRequest
from userdata.job.job import Job
from userdata.record.drawn_with import DrawnWith
from userdata.worker.process.settings import Settings


@dataclass(frozen=True)
class DrawnImage:
    """An image, its share in seconds of the time that its batch took, and how it was computed.

    `flagged` is the safety checker's answer, None for an image that was not checked.
    """

    index: int
    image: Image.Image
    seconds: float
    drawn_with: DrawnWith
    flagged: bool | None = None


@dataclass(frozen=True)
class Task:
    """The images `missing` of the `total` images of `job`, and the image that they start from, if any.

    Its fourth channel is the mask of inpainting, where it has one.

    `beside` is how many more images like these may follow: work that pays for many is begun for them too. `ready` hears
    that everything is loaded. `save`, `begin_batch`, `leave_if_asked` and `estimate` are those of the
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
    beside: int = 0


class Draws(Protocol):
    """What draws: `Loaded` in its own process, or `DrawingProcess`, which stands for it in the worker."""

    def draw(self, settings: Settings, task: Task) -> None:
        """Draws all images of `task`. Raises `RunError` with a sentence for a person, and what the task's hooks raise.

        `settings` say where the model and the other files of the task lie.
        """

    def still_works(self) -> bool:
        """Whether it can still draw: an error in one of CUDA's kernels ends that for good."""
