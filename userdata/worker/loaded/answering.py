"""Draws what the worker at the other end of a connection asks for, with what is loaded."""

from __future__ import annotations

import logging
import os
import queue
import socket
import sys
import threading
import traceback
from concurrent.futures import Future

from PIL import Image

from userdata.job.run_error import BetweenBatches, PassingRunError, RunError, Stopped
from userdata.worker.between import words
from userdata.worker.between.frames import Frames
from userdata.worker.between.task import DrawnImage, Task
from userdata.worker.loaded.loaded import Loaded
from userdata.worker.process.compiled_kernels import begin_with
from userdata.worker.process.settings import STATE_DIRECTORY, Settings

logger = logging.getLogger(__name__)
# So that a line with all that JSON escapes is still taken.
MOST_LOGGED = words.MOST_SAID // 8
# Seconds without a job after which this process uses the time.
PAUSE = 1.0


class Answering:
    """Answers on `connection` until the worker ends it, which ends the process: nothing here must be saved."""

    def __init__(self, connection: socket.socket) -> None:
        self._frames = Frames(connection, most_text=words.MOST_ASKED, most_content=words.MOST_ASKED)
        self._asked: queue.SimpleQueue[tuple[words.Draw | words.StillWorks, bytes]] = queue.SimpleQueue()
        self._loaded: Loaded | None = None
        # Of the drawing that goes on.
        self._answered: queue.SimpleQueue[words.Go | words.Leave] = queue.SimpleQueue()
        self._left: words.Leave | None = None
        self._saving: dict[int, Future[bool]] = {}

    def serve(self) -> None:
        """Returns never."""
        logging.basicConfig(level=logging.INFO, handlers=[_ToWorker(self)])
        threading.Thread(target=self._listen, name="listening", daemon=True).start()
        while True:
            word, content = self._next()
            if isinstance(word, words.Draw):
                self.say(self._draw(word, content))
            else:
                self.say(words.Works(works=self._loaded is None or self._loaded.still_works()))

    def _next(self) -> tuple[words.Draw | words.StillWorks, bytes]:
        while self._loaded and self._loaded.has_use_for_a_pause:
            try:
                return self._asked.get(timeout=PAUSE)
            except queue.Empty:
                self._loaded.use_pause(self._leave_for_the_next)
        return self._asked.get()

    def _leave_for_the_next(self) -> None:
        if not self._asked.empty():
            raise BetweenBatches

    def say(self, word: words.Said, content: bytes = b"") -> None:
        """Sends `word`."""
        self._frames.send(word.model_dump_json().encode(), content)

    def _listen(self) -> None:
        """Takes what the worker says, also while something is drawn."""
        try:
            while True:
                text, content = self._frames.receive()
                word = words.ASKED.validate_json(text)
                if isinstance(word, words.Saved):
                    self._saving.pop(word.index).set_result(word.well)
                elif isinstance(word, words.Go | words.Leave):
                    if isinstance(word, words.Leave):
                        self._left = word
                    self._answered.put(word)
                else:
                    # What came too late for the drawing before means nothing to this one.
                    self._answered, self._left = queue.SimpleQueue(), None
                    self._asked.put((word, content))
        except EOFError:
            os._exit(0)
        except Exception:  # noqa: BLE001  # a process that no longer listens must end
            traceback.print_exc(file=sys.stderr)
            os._exit(1)

    def _draw(self, word: words.Draw, content: bytes) -> words.Drawn | words.Failed:
        self._loaded = self._loaded or Loaded(stays=word.stays)
        task = Task(
            word.job,
            word.missing,
            total=word.total,
            beside=word.beside,
            initial_image=_initial_image(word, content),
            ready=lambda: self.say(words.Ready()),
            save=self._save,
            begin_batch=self._begin_batch,
            leave_if_asked=self._leave_if_asked,
            estimate=lambda seconds: self.say(words.Estimate(seconds=seconds)),
        )
        try:
            settings = Settings.read({**word.settings, STATE_DIRECTORY: os.environ[STATE_DIRECTORY]})
            begin_with(settings.compiled, settings.state_directory / "compiled")
            self._loaded.draw(settings, task)
        except (Stopped, BetweenBatches):
            return words.Failed(why="left")
        except RunError as error:
            return words.Failed(why="passing" if isinstance(error, PassingRunError) else "run", text=str(error))
        except Exception as error:  # whatever it is, the worker tells it
            logger.exception("The drawing process met something unforeseen")
            if isinstance(error, OSError) and error.errno:
                return words.Failed(why="system", number=error.errno, text=str(error.strerror))
            return words.Failed(why="unforeseen", text=_utf8(f"{type(error).__name__}: {error}"))
        return words.Drawn()

    def _save(self, drawn: DrawnImage) -> None:
        """Hands the image to the worker, and waits on this thread until it is saved."""
        saved = self._saving[drawn.index] = Future[bool]()
        said = words.Image(
            index=drawn.index,
            size=drawn.image.size,
            seconds=drawn.seconds,
            drawn_with=drawn.drawn_with,
            flagged=drawn.flagged,
        )
        self.say(said, drawn.image.tobytes())
        if not saved.result():
            raise Stopped

    def _begin_batch(self) -> None:
        if not self._left:
            self.say(words.Begin())
            self._answered.get()
        self._leave_if_asked()

    def _leave_if_asked(self) -> None:
        if self._left:
            raise BetweenBatches if self._left.between else Stopped


class _ToWorker(logging.Handler):
    """Sends what is logged to the worker, whose run has the log."""

    def __init__(self, answering: Answering) -> None:
        super().__init__()
        self._answering = answering
        self.setFormatter(logging.Formatter("%(message)s"))  # the worker's log adds the rest

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._answering.say(words.Log(level=record.levelno, text=_utf8(self.format(record))[-MOST_LOGGED:]))
        except Exception:  # noqa: BLE001  # a line that cannot be sent ends no drawing
            self.handleError(record)


def _initial_image(word: words.Draw, content: bytes) -> Image.Image | None:
    mode = "RGBA" if word.job.init_mask else "RGB"
    return Image.frombytes(mode, word.initial_size, content) if word.initial_size else None


def _utf8(text: str) -> str:
    """`text` without what a log may hold and UTF-8 cannot."""
    return text.encode("utf-8", "replace").decode("utf-8")
