"""Draws a job with the original scripts, and hands each image on as soon as its file is whole."""

from __future__ import annotations

import collections
import logging
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import numpy
import torch
from PIL import Image

from userdata.contract.log_lines import log_output
from userdata.job.image_request import ImageRequest
from userdata.job.initial_image import fit_image
from userdata.job.job import Job
from userdata.job.picture_file import opened_picture
from userdata.job.run_error import RunError
from userdata.record.drawn_with import DrawnWith
from userdata.worker.between.task import DrawnImage
from userdata.worker.compvis.command import command
from userdata.worker.compvis.folder import prepare_folder
from userdata.worker.drawing.drawing_hooks import DrawingHooks
from userdata.worker.drawing.pace import Pace
from userdata.worker.model.device import device_name
from userdata.worker.process.settings import Settings

logger = logging.getLogger(__name__)
POLL_SECONDS = 0.5
STOP_SECONDS = 30
LAST_LINES = 20


class CompvisDrawing:
    """Draws all images of `job` with the original script, and drops those that are not in `requests`.

    The script has one stream of random numbers for the whole run, so that a later image cannot be made without those
    before it. The script cannot be paused: where no further batch may begin, the script is ended within the next one.
    """

    def __init__(
        self,
        settings: Settings,
        job: Job,
        requests: Sequence[ImageRequest],
        *,
        initial_image: Image.Image | None,
        device: torch.device,
        hooks: DrawingHooks,
    ) -> None:
        self._settings = settings
        self._job = job
        self._seed = requests[0].seed
        self._wanted = {request.index for request in requests}
        self._initial_image = initial_image
        self._device = device
        self._hooks = hooks
        self._folder = settings.state_directory / "compvis"
        self._outdir = settings.state_directory / "compvis-outputs"
        self._next = 0
        self._pace = Pace(job.images_total)
        self._last_at = time.monotonic()

    def do(self) -> None:
        """Draws the images. Raises `RunError` with a sentence for a person, and what the hooks raise."""
        settings = self._settings
        if settings.compvis_repository is None or settings.compvis_python is None:
            raise RunError("The original scripts were not fetched by the boot. Start the instance again.")
        checkpoint = prepare_folder(self._folder, settings.model_folder)
        shutil.rmtree(self._outdir, ignore_errors=True)
        initial_image = self._folder / "initial-image.png" if self._initial_image else None
        if self._initial_image and initial_image:
            # The original takes the image's own size, and knows no other.
            fit_image(self._initial_image, width=self._job.W, height=self._job.H).save(initial_image)
        words = command(
            self._job,
            seed=self._seed,
            python=settings.compvis_python,
            repository=settings.compvis_repository,
            checkpoint=checkpoint,
            outdir=self._outdir,
            initial_image=initial_image,
        )
        self._hooks.begin_batch()
        self._last_at = time.monotonic()
        self._run(words, settings.compvis_repository)
        shutil.rmtree(self._outdir, ignore_errors=True)

    def _run(self, words: Sequence[str], repository: Path) -> None:
        environment = {**os.environ, "PYTHONPATH": str(repository), "TRANSFORMERS_OFFLINE": "1", "HF_HUB_OFFLINE": "1"}
        process = subprocess.Popen(
            words,
            cwd=self._folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        said: collections.deque[str] = collections.deque(maxlen=LAST_LINES)
        reader = threading.Thread(target=log_output, args=(process.stdout, said), name="compvis", daemon=True)
        reader.start()
        try:
            while process.poll() is None:
                self._hooks.leave_if_asked()
                self._hand_on()
                time.sleep(POLL_SECONDS)
        finally:
            _end(process)
            reader.join(STOP_SECONDS)
        self._hand_on()
        if process.returncode or self._next < self._job.images_total:
            raise RunError(_explain(process.returncode, "\n".join(said)))

    def _hand_on(self) -> None:
        """Hands on the images whose files are whole. At a batch's end raises what forbids the next batch."""
        while _is_whole(self._file(self._next)):
            index, now = self._next, time.monotonic()
            self._next += 1
            with opened_picture(self._file(index).read_bytes(), ("PNG",)) as file:
                image = file.convert("RGB")
            drawn = self._drawn(index, image, now - self._last_at)
            self._last_at = now
            self._pace.done += 1
            self._hooks.estimate(self._pace.remaining_seconds(self._pace.done))
            if index in self._wanted:
                self._hooks.finish(drawn)
            if self._next % self._job.n_samples == 0 and self._next < self._job.images_total:
                self._hooks.begin_batch()

    def _file(self, index: int) -> Path:
        return self._outdir / f"samples/{index:05}.png"

    def _drawn(self, index: int, image: Image.Image, seconds: float) -> DrawnImage:
        drawn_with = DrawnWith(
            indices=list(range(self._job.images_total)),
            execution="compvis",
            precision="float16" if self._job.precision == "autocast" else "float32",
            device=device_name(self._device),
        )
        flagged = None
        if self._hooks.flags_of:
            colours = torch.from_numpy(numpy.array(image)).to(self._device).permute(2, 0, 1)[None] / 255
            flagged = bool(self._hooks.flags_of(colours)[0])
        return DrawnImage(index, image, seconds, drawn_with, flagged)


def _is_whole(file: Path) -> bool:
    """Whether the PNG is complete: the script may still be writing the file."""
    try:
        with opened_picture(file.read_bytes(), ("PNG",)) as image:
            image.verify()
    except (OSError, ValueError):  # there is none yet, or a part of it
        return False
    return True


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ends the script and what it has started, if it still runs."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        if process.poll() is not None:
            return
        os.killpg(process.pid, number)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            logger.warning("The original script does not end at signal %d", number)


def _explain(code: int, said: str) -> str:
    if "CUDA out of memory" in said:
        return (
            "The GPU's memory does not suffice for the original script. Deploy again with fewer Samples or smaller "
            "images, with a larger InstanceType, or with Engine=diffusers, which needs a quarter of it."
        )
    last = said.splitlines()[-1] if said else "it said nothing"
    how = f"was ended by signal {-code}" if code < 0 else f"ended with {code}"
    return f"The original script {how} before all images were drawn: {last}. log.txt of this run has all that it said."
