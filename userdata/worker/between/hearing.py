"""Hears what the drawing process says of one drawing, and answers it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from concurrent.futures import Executor

from PIL import Image as Pillow

from userdata.job.run_error import BetweenBatches, PassingRunError, RunError
from userdata.worker.between import words
from userdata.worker.between.task import DrawnImage, Task

logger = logging.getLogger(__name__)


class DrawingError(Exception):
    """Something unforeseen in the drawing process, whose log has the traceback."""


class Hearing:
    """What the process says of one drawing, and what the hooks of `task` make of that.

    `say` answers, and raises `OSError` where nobody hears any more. Images are saved on `threads`. After the word that
    ends the drawing, `over` is set.
    """

    def __init__(self, say: Callable[[words.Asked], None], task: Task, threads: Executor) -> None:
        self.over = False
        self._say = say
        self._task = task
        self._threads = threads
        self._missing = {request.index for request in task.missing}
        self._raised: Exception | None = None
        self._raising = threading.Lock()
        self._failed: words.Failed | None = None

    def look(self) -> None:
        """Asks the task whether the drawing must be left."""
        if self._raised is None:
            try:
                self._task.leave_if_asked()
            except Exception as error:  # noqa: BLE001  # `end` raises it
                self._leave(error)

    def hear(self, said: words.Said, content: bytes) -> None:
        """Does what `said` asks for. Raises `ValueError` for what does not belong here."""
        if isinstance(said, words.Image):
            self._threads.submit(self._save, self._image(said, content))
        elif isinstance(said, words.Drawn | words.Failed):
            self.over = True
            self._failed = said if isinstance(said, words.Failed) else None
        elif isinstance(said, words.Ready | words.Begin | words.Estimate):
            self._tell(said)
        else:
            raise ValueError(f"{said.kind} was not asked for")

    def end(self) -> None:
        """Raises what has ended the drawing early, if anything has."""
        failed = self._failed
        if failed is None:
            return
        if failed.why == "left" and self._raised:
            raise self._raised
        if failed.why == "system":
            raise OSError(failed.number, failed.text)
        kinds: dict[str, type[Exception]] = {"run": RunError, "passing": PassingRunError}
        raise kinds.get(failed.why, DrawingError)(failed.text)

    def _tell(self, said: words.Ready | words.Begin | words.Estimate) -> None:
        if self._raised:
            return
        try:
            if isinstance(said, words.Ready):
                self._task.ready()
            elif isinstance(said, words.Estimate):
                self._task.estimate(said.seconds)
            else:
                self._task.begin_batch()
        except Exception as error:  # noqa: BLE001  # `end` raises it
            self._leave(error)
        else:
            if isinstance(said, words.Begin):
                self._say(words.Go())

    def _image(self, said: words.Image, content: bytes) -> DrawnImage:
        if said.index not in self._missing:
            raise ValueError(f"image {said.index} was not asked for")
        self._missing.remove(said.index)
        picture = Pillow.frombytes("RGB", said.size, content)  # raises ValueError for another number of bytes
        return DrawnImage(said.index, picture, said.seconds, said.drawn_with, said.flagged)

    def _save(self, drawn: DrawnImage) -> None:
        well = True
        try:
            self._task.save(drawn)
        except Exception as error:  # noqa: BLE001  # `end` raises it
            well = False
            self._leave(error)
        self._answer(words.Saved(index=drawn.index, well=well))

    def _leave(self, error: Exception) -> None:
        with self._raising:
            if self._raised is None:
                self._raised = error
                self._answer(words.Leave(between=isinstance(error, BetweenBatches)))

    def _answer(self, word: words.Asked) -> None:
        try:
            self._say(word)
        except OSError as error:  # whoever waits for the next word hears that the process has ended
            logger.debug("the drawing process does not hear: %s", error)
