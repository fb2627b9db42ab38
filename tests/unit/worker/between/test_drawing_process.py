"""A process of its own draws as `Loaded` does, and what it says harms nobody, whatever it says."""

from __future__ import annotations

import dataclasses
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from userdata.contract.worker_environment import DRAWING_SOCKET
from userdata.job.image_request import image_requests
from userdata.job.job import Job
from userdata.job.run_error import GaveWay, PassingRunError, RunError, Stopped
from userdata.worker.between import drawing_process, words
from userdata.worker.between.drawing_process import DrawingProcess
from userdata.worker.between.frames import LENGTHS, Frames
from userdata.worker.between.hearing import DrawingError
from userdata.worker.between.task import DrawnImage, Draws, Task
from userdata.worker.loaded.loaded import Loaded
from userdata.worker.process.settings import Settings

SMALL: dict[str, Any] = {"model": "tiny", "H": 64, "W": 72, "ddim_steps": 2, "n_iter": 1, "n_samples": 2}
START = Image.linear_gradient("L").convert("RGB").resize((2100, 80))  # larger than any image that is drawn
DRAWN_WITH = {"indices": [0, 1], "execution": "eager", "precision": "float32", "device": "cpu"}


@pytest.fixture(autouse=True)
def _memory_suffices(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel counts for the whole computer, on which other tests fill the memory of their machines meanwhile."""
    monkeypatch.setattr(drawing_process, "_out_of_memory_kills", lambda: 0)


class Asking:
    """A task, and what is heard of it. `heard` has the names of the hooks that were called."""

    def __init__(self, given: Job, **hooks: Callable[..., None]) -> None:
        self.images: list[DrawnImage] = []
        self.heard: list[str] = []
        requests = image_requests(given)
        heard: Any = {name: self._hook(name, hooks.get(name)) for name in (*HOOKS, "save")}
        start = START.copy()
        if given.init_mask:
            start.putalpha(Image.linear_gradient("L").resize(START.size))
        self.task = Task(
            given, requests, total=len(requests), initial_image=start if given.from_image else None, **heard
        )

    def _hook(self, name: str, given: Callable[..., None] | None) -> Callable[..., None]:
        def hook(*words: Any) -> None:
            self.heard.append(name)
            if given:
                given(*words)
            if name == "save":
                self.images.append(*words)

        return hook

    def pixels(self) -> list[tuple[int, bytes, bool | None, Any]]:
        images = sorted(self.images, key=lambda image: image.index)
        return [(one.index, one.image.tobytes(), one.flagged, one.drawn_with) for one in images]


HOOKS = ("ready", "begin_batch", "leave_if_asked", "estimate")


def raises(error: Exception, *, at: int = 1) -> Callable[..., None]:
    """A hook that raises `error` when it is called for the time `at`, and from then on."""
    calls: list[object] = []

    def hook(*words: Any) -> None:
        calls.append(words)
        if len(calls) >= at:
            raise error

    return hook


def job(**given: Any) -> Job:
    return Job(**{**SMALL, "safety_checker": "off", **given})


@pytest.fixture(scope="module")
def started() -> Iterator[list[DrawingProcess]]:
    """The real processes, of which the last one may work."""
    started: list[DrawingProcess] = []
    yield started
    for process in started:
        assert process.child
        process.child.kill()
        process.child.wait()


@pytest.fixture
def process(started: list[DrawingProcess], tmp_path_factory: pytest.TempPathFactory) -> DrawingProcess:
    """A real process: that of the test before, unless that one has killed it."""
    if not started or not started[-1].child or started[-1].child.poll() is not None:
        state = tmp_path_factory.mktemp("drawing")
        credentials = {"AWS_SECRET_ACCESS_KEY": "secret", "SD_WEIGHTS_URL": "https://me:secret@mirror"}
        environment = {**os.environ, **credentials, "STATE_DIRECTORY": str(state)}
        started.append(DrawingProcess.start({**environment, "OMP_NUM_THREADS": "1"}, stays=True))
    return started[-1]


def test_it_draws_the_same_bits_and_has_no_credentials(
    process: DrawingProcess,
    settings: Settings,
    caplog: pytest.LogCaptureFixture,
    kept_loaded_ends_with_the_test: None,
) -> None:
    here: Draws = Loaded()
    image = job(init_img="inputs/start.png", strength=0.7, seed=7, prompt="ein Bär 🐻")
    for given in (job(), image, job(init_img="inputs/start.png", init_mask="inputs/mask.png")):
        there, alone = Asking(given), Asking(given)
        caplog.clear()
        process.draw(settings, there.task)
        assert [one.message for one in caplog.records if one.message.startswith("2 of 2 images are drawn, ")]
        here.draw(settings, alone.task)
        assert there.pixels() == alone.pixels()
        assert {"ready", "begin_batch", "estimate"} <= set(there.heard)
        assert all(image.seconds > 0 for image in there.images)
    assert process.still_works()
    assert process.child
    assert "secret" not in Path(f"/proc/{process.child.pid}/environ").read_text()


def test_what_a_hook_raises_ends_the_drawing_and_is_raised_here(process: DrawingProcess, settings: Settings) -> None:
    gave_way = Asking(job(n_iter=3), begin_batch=raises(GaveWay(), at=2))
    with pytest.raises(GaveWay):
        process.draw(settings, gave_way.task)
    assert len(gave_way.images) == 2, "the batch that was begun is saved first"

    full = OSError(28, "No space left on device")
    with pytest.raises(OSError, match="No space left") as raised:
        process.draw(settings, Asking(job(), save=raises(full)).task)
    assert raised.value is full

    begun = Asking(job(ddim_steps=1000, sampler="ddim"), leave_if_asked=lambda: stop_once(begun))

    def stop_once(asking: Asking) -> None:
        if "estimate" in asking.heard:
            raise Stopped

    with pytest.raises(Stopped):
        process.draw(settings, begun.task)
    assert begun.images == [], "it did not leave within a step or two"


def test_what_fails_there_is_told_here(
    process: DrawingProcess, settings: Settings, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(RunError, match="VAE .* was not fetched by the boot") as refused:
        process.draw(settings, Asking(job(vae="hf:somebody/vae/vae.safetensors")).task)
    assert not isinstance(refused.value, PassingRunError)
    nowhere = dataclasses.replace(settings, model_folder=tmp_path / "nowhere")
    with pytest.raises((RunError, OSError, DrawingError)):
        process.draw(nowhere, Asking(job()).task)
    process.draw(settings, Asking(job(prompt="((a (tree)")).task)
    assert process.still_works()


class Fake:
    """Something that speaks in the drawing process's place: first hears what it is asked, then says `frames`."""

    def __init__(self, *frames: bytes) -> None:
        ours, self._theirs = socket.socketpair()
        self.process = DrawingProcess(ours)
        threading.Thread(target=self._speak, args=(frames,), daemon=True).start()

    def _speak(self, frames: tuple[bytes, ...]) -> None:
        Frames(self._theirs, most_text=words.MOST_ASKED, most_content=words.MOST_PIXELS).receive()
        for frame in frames:
            self._theirs.sendall(frame)
        self._theirs.shutdown(socket.SHUT_WR)


def frame(word: words.Said | bytes, content: bytes = b"") -> bytes:
    text = word if isinstance(word, bytes) else word.model_dump_json().encode()
    return LENGTHS.pack(len(text), len(content)) + text + content


def image(index: int = 0) -> words.Image:
    return words.Image(index=index, size=(64, 72), seconds=1, drawn_with=DRAWN_WITH)


RIGHT = b"\0" * 3 * 64 * 72
VAST = image().model_dump_json().replace("64,72", "2049,1").encode()
HOSTILE = {
    "nothing": (b"", "the other side has ended"),
    "half a frame": (frame(words.Drawn())[:-1], "the other side has ended"),
    "too long a text": (LENGTHS.pack(words.MOST_SAID + 1, 0), "is too long"),
    "too many pixels": (LENGTHS.pack(10, words.MOST_PIXELS + 1), "is too long"),
    "no JSON": (frame(b"\x80\x04pickle"), "no answer"),
    "an unknown word": (frame(b'{"kind":"exec","text":"rm"}'), "no answer"),
    "a word too much": (frame(b'{"kind":"drawn","more":1}'), "no answer"),
    "an answer to no question": (frame(words.Works(works=True)), "works was not asked for"),
    "an image of another run": (frame(image(7), RIGHT), "image 7 was not asked for"),
    "an image twice": (frame(image(), RIGHT) + frame(image(), RIGHT), "image 0 was not asked for"),
    "an image of other pixels": (frame(image(), RIGHT[:-1]), "not enough image data"),
    "a vast image": (frame(VAST, b"\0" * 3 * 2049), "no answer"),
}


@pytest.mark.parametrize(("said", "reason"), HOSTILE.values(), ids=HOSTILE.keys())
def test_whatever_it_says_ends_in_one_sentence(said: bytes, reason: str, settings: Settings) -> None:
    fake = Fake(said)
    with pytest.raises(PassingRunError, match=rf"^The drawing process ended .* \([^\n]*{reason}[^\n]*\)\. The log"):
        fake.process.draw(settings, Asking(job()).task)
    assert not fake.process.still_works()


def test_an_error_that_nobody_knows_is_told_by_its_name(settings: Settings) -> None:
    fake = Fake(frame(words.Failed(why="unforeseen", text="RuntimeError: CUDA error")))
    with pytest.raises(DrawingError, match="RuntimeError: CUDA error"):
        fake.process.draw(settings, Asking(job()).task)
    full = Fake(frame(words.Failed(why="system", number=28, text="No space left on device")))
    with pytest.raises(OSError, match="No space left") as raised:
        full.process.draw(settings, Asking(job()).task)
    assert raised.value.errno == 28


def test_memory_that_ran_out_is_told(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    kills = iter([3, 4])
    monkeypatch.setattr(drawing_process, "_out_of_memory_kills", lambda: next(kills))
    with pytest.raises(PassingRunError, match="ran out of memory. Ask for smaller images"):
        Fake(b"").process.draw(settings, Asking(job()).task)


def test_a_process_that_is_killed_ends_the_drawing_and_no_longer_works(
    process: DrawingProcess, settings: Settings
) -> None:
    assert process.child
    pid = process.child.pid
    killed = Asking(job(ddim_steps=1000, sampler="ddim"), estimate=lambda _: os.kill(pid, signal.SIGKILL))
    with pytest.raises(PassingRunError, match="ended before its work was done"):
        process.draw(settings, killed.task)
    assert not process.still_works()
    process.child.wait()  # so that the next test sees it


def test_a_socket_without_systemd_behind_it_is_told(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"cannot be reached by .*sd\.sock.*systemctl status sd-drawing\.socket"):
        DrawingProcess.start({DRAWING_SOCKET: str(tmp_path / "sd.sock")})
