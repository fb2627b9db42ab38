"""Draws in another process, which has no credentials and no network, and stands for it in the worker."""

from __future__ import annotations

import logging
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from PIL import Image as Pillow

from userdata.contract.worker_environment import DRAWING_SOCKET
from userdata.job.run_error import BetweenBatches, PassingRunError, RunError
from userdata.worker.between import words
from userdata.worker.between.frames import Frames
from userdata.worker.between.task import DrawnImage, Task
from userdata.worker.process.settings import Settings

logger = logging.getLogger(__name__)
MODULE = "userdata.worker.draw"
# How soon the drawing process hears that it must leave. A denoising step takes as long on a fast card.
LOOK_SECONDS = 0.05
# Images that are saved at once: the drawing process has no more on their way.
AT_ONCE = 4
# What begins the names of variables that may hold a credential, or lead to one.
NOT_FOR_DRAWING = ("AWS_", "PIP_", "UV_", "HF_TOKEN")


class DrawingError(Exception):
    """Something unforeseen in the drawing process, whose log has the traceback."""


class DrawingProcess:
    """The process at the other end of `connection`, which lives as long as the connection; for `stays` see `Loaded`."""

    def __init__(self, connection: socket.socket, *, stays: bool = False) -> None:
        self._frames = Frames(connection, most_text=words.MOST_SAID, most_content=words.MOST_PIXELS)
        self._stays = stays
        self._out_of_memory = _out_of_memory_kills()

    @classmethod
    def start(cls, environment: Mapping[str, str], *, stays: bool = False) -> DrawingProcess:
        """Starts the process: systemd does, for whoever connects to its socket. Raises `RunError`.

        Where `environment` names no such socket, as by hand, the process is a child of this one.
        """
        path = environment.get(DRAWING_SOCKET)
        if not path:
            return cls(_child(environment), stays=stays)
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.connect(path)
        except OSError as error:
            connection.close()
            raise RunError(
                f"The drawing process cannot be reached by {path} ({error}). On the machine, "
                "systemctl status sd-drawing.socket says more."
            ) from error
        return cls(connection, stays=stays)

    def draw(self, settings: Settings, task: Task) -> None:
        """Draws all images of `task`. Raises `RunError` with a sentence for a person, and what the task's hooks raise.

        Raises `PassingRunError` when the process has ended, `OSError` for the system's errors there, and `DrawingError`
        for any other.
        """
        image = task.initial_image
        asked = words.Draw(
            stays=self._stays,
            settings=settings.variables(),
            job=task.job,
            missing=list(task.missing),
            total=task.total,
            initial_size=image.size if image else None,
        )
        with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="image") as threads:
            hearing = _Hearing(self, task, threads)
            try:
                self.say(asked, image.tobytes() if image else b"")
                while not hearing.over:
                    hearing.look()
                    if self._frames.has_one(within=LOOK_SECONDS):
                        hearing.hear(*self._receive())
            except (EOFError, OSError, ValueError) as error:
                raise self._ended(error) from error
        hearing.end()

    def still_works(self) -> bool:
        """Whether the process is there and can still use its GPU."""
        try:
            self.say(words.StillWorks())
            while True:
                said, _ = self._receive()
                if isinstance(said, words.Works):
                    return said.works
        except (EOFError, OSError, ValueError):
            return False

    def say(self, word: words.Asked, content: bytes = b"") -> None:
        """Sends `word`. Raises `OSError` when the process has ended."""
        self._frames.send(word.model_dump_json().encode(), content)

    def _receive(self) -> tuple[words.Said, bytes]:
        while True:
            text, content = self._frames.receive()
            said = words.SAID.validate_json(text)
            if not isinstance(said, words.Log):
                return said, content
            logger.log(said.level, "%s", said.text)

    def _ended(self, error: Exception) -> PassingRunError:
        self._frames.close()
        if _out_of_memory_kills() > self._out_of_memory:
            return PassingRunError(
                "The drawing process was ended because the machine ran out of memory. Ask for smaller images or fewer "
                "Samples, or choose a larger InstanceType."
            )
        return PassingRunError(
            f"The drawing process ended before its work was done ({error}). The log says more; to go on with the "
            "missing images, start the instance."
        )


class _Hearing:
    """What the process says of one drawing, and what the hooks of `task` make of that."""

    def __init__(self, process: DrawingProcess, task: Task, threads: ThreadPoolExecutor) -> None:
        self.over = False
        self._process = process
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
                self._process.say(words.Go())

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
            self._process.say(word)
        except OSError as error:  # whoever waits for the next word hears that the process has ended
            logger.debug("the drawing process does not hear: %s", error)


def _child(environment: Mapping[str, str]) -> socket.socket:
    ours, theirs = socket.socketpair()
    kept = {name: value for name, value in environment.items() if not name.startswith(NOT_FOR_DRAWING)}
    with theirs:
        # Not waited for: it ends with the connection, or the connection with it.
        _children.append(subprocess.Popen([sys.executable, "-u", "-m", MODULE], stdin=theirs.fileno(), env=kept))
    return ours


_children: list[subprocess.Popen[bytes]] = []


def _out_of_memory_kills() -> int:
    """How many processes the kernel has killed for want of memory since it started."""
    try:
        found = re.search(r"(?m)^oom_kill (\d+)$", Path("/proc/vmstat").read_text("ascii"))
    except OSError:
        return 0
    return int(found[1]) if found else 0
