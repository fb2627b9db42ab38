"""What a drawing calls while it goes on, with either engine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from userdata.worker.between.task import DrawnImage
from userdata.worker.drawing.generate import FlagsOf

ImageStep = Callable[[DrawnImage], DrawnImage]


@dataclass(frozen=True)
class DrawingHooks:
    """The functions that a drawing calls.

    `image_steps` change or mark a drawn image, in their order, and `save` gets the finished image. The drawing calls
    both on other threads, for several images at once. It calls `begin_batch` before each batch, and `leave_if_asked`
    after every denoising step, or as often as the engine can. What either raises ends the drawing. `estimate` hears the
    seconds that are left. `flags_of` says which images of a batch are flagged; without `flags_of`, no image is checked.
    """

    save: Callable[[DrawnImage], None]
    image_steps: Sequence[ImageStep] = ()
    begin_batch: Callable[[], None] = lambda: None
    leave_if_asked: Callable[[], None] = lambda: None
    estimate: Callable[[float], None] = lambda _seconds: None
    flags_of: FlagsOf | None = None

    def finish(self, drawn: DrawnImage) -> None:
        """Does the steps to an image, and saves the image."""
        for step in self.image_steps:
            drawn = step(drawn)
        self.save(drawn)
