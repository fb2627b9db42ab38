"""What a drawing calls while it goes on, whichever engine draws."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from userdata.worker.drawing.generate import FlagsOf
from userdata.worker.drawing.pending_batch import DrawnImage

ImageStep = Callable[[DrawnImage], DrawnImage]


@dataclass(frozen=True)
class DrawingHooks:
    """`save` gets each image once it is finished, after `image_steps` have changed or marked it, in their order.

    Both are called on other threads, for several images at once. `before_batch` are called before each batch: what one
    of these checks raises ends the drawing, and no batch is begun. `leave_if_asked` is called after every denoising
    step, or as often as the engine can; what it raises ends the drawing. `estimate` hears the seconds that are left.
    `flags_of` says which images of a batch are flagged; without it none is looked at.
    """

    save: Callable[[DrawnImage], None]
    image_steps: Sequence[ImageStep] = ()
    before_batch: Sequence[Callable[[], None]] = ()
    leave_if_asked: Callable[[], None] = lambda: None
    estimate: Callable[[float], None] = lambda _seconds: None
    flags_of: FlagsOf | None = None

    def begin_batch(self) -> None:
        """Raises what a check raises because of which no batch is to be begun."""
        for check in self.before_batch:
            check()

    def finish(self, drawn: DrawnImage) -> None:
        """Does the steps to an image and saves it."""
        for step in self.image_steps:
            drawn = step(drawn)
        self.save(drawn)
