"""Draws in another process, which has no credentials and no network, and stands for it in the worker."""

from __future__ import annotations

import logging
import re
import socket
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from userdata.contract.outside import read_json
from userdata.contract.worker_environment import DRAWING_SOCKET
from userdata.job.run_error import PassingRunError, RunError
from userdata.worker.between import words
from userdata.worker.between.frames import Frames
from userdata.worker.between.hearing import Hearing
from userdata.worker.between.task import Task
from userdata.worker.process.settings import Settings

logger = logging.getLogger(__name__)
MODULE = "userdata.worker.draw"
# How soon the drawing process hears that it must leave. A denoising step takes as long on a fast card.
LOOK_SECONDS = 0.05
# Images that are saved at once: the drawing process has no more on their way.
AT_ONCE = 4
# The names of variables that may hold a credential, as the address of a mirror or a proxy may, or lead to one.
NOT_FOR_DRAWING = re.compile("^(AWS|PIP|UV)_|URL|PROXY|TOKEN|SECRET|PASSWORD|KEY", re.IGNORECASE)


class DrawingProcess:
    """The process at the other end of `connection`, which lives as long as the connection; for `stays` see `Loaded`.

    `child` is the process where it is one of this process's own.
    """

    def __init__(
        self, connection: socket.socket, *, stays: bool = False, child: subprocess.Popen[bytes] | None = None
    ) -> None:
        self.child = child
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
            return cls._start_child(environment, stays=stays)
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

    @classmethod
    def _start_child(cls, environment: Mapping[str, str], *, stays: bool) -> DrawingProcess:
        ours, theirs = socket.socketpair()
        kept = {name: value for name, value in environment.items() if not NOT_FOR_DRAWING.search(name)}
        with theirs:
            child = subprocess.Popen([sys.executable, "-u", "-m", MODULE], stdin=theirs.fileno(), env=kept)
        return cls(ours, stays=stays, child=child)

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
            beside=task.beside,
            initial_size=image.size if image else None,
        )
        with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="image") as threads:
            hearing = Hearing(self.say, task, threads)
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
            try:
                said = words.SAID.validate_python(read_json(text))
            except ValueError:  # pydantic's takes many lines
                raise ValueError("it said something that is no answer") from None
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


def _out_of_memory_kills() -> int:
    """How many processes the kernel has killed for want of memory since it started."""
    try:
        found = re.search(r"(?m)^oom_kill (\d+)$", Path("/proc/vmstat").read_text("ascii"))
    except OSError:
        return 0
    return int(found[1]) if found else 0
