"""Does what the original scripts do, with this machine's model: `python -m userdata.worker.txt2img` and `img2img`."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from userdata.contract.atomic_file import write_atomically
from userdata.contract.catalogue import find_model
from userdata.contract.companion_files import listed_embeddings
from userdata.contract.image_size import rounded_in_words
from userdata.contract.log_lines import log_format
from userdata.job.image_request import ImageRequest, image_requests
from userdata.job.init_mask import told_of, with_mask
from userdata.job.initial_image import FORMATS_IN_WORDS, InitialImage, read_image, size_from
from userdata.job.job import Job
from userdata.job.prompt_file import PromptFileError, read_prompt_file
from userdata.job.run_error import RunError
from userdata.job.seeds import draw_seed
from userdata.record.image_metadata import describe_image, png_with_record
from userdata.record.versions import library_versions
from userdata.worker.by_hand.output_folder import OutputFolder
from userdata.worker.by_hand.script_options import Script, job_of, read_options
from userdata.worker.drawing.grid import MOST_PIXELS, grid_layout, grid_size, write_grid
from userdata.worker.process.library_environment import LIBRARY_ENVIRONMENT

if TYPE_CHECKING:
    from userdata.worker.between.task import DrawnImage

# The model whose rules a job keeps when the catalogue does not know its own model.
USUAL_MODEL = "stable-diffusion-v1-5"

logger = logging.getLogger(__name__)


def main(script: Script, words: Sequence[str] | None = None) -> int:
    """The exit status: 0, 1 for an error; misuse exits with 2. Everything is checked before the model is loaded."""
    options = read_options(script, sys.argv[1:] if words is None else words)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(log_format())
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    os.environ.update(LIBRARY_ENVIRONMENT)
    try:
        _Call(script, options).do()
    except RunError as error:
        sys.stderr.write(f"{script}: {error}\n")
        return 1
    return 0


class _Call:
    """One call of a script."""

    def __init__(self, script: Script, options: argparse.Namespace) -> None:
        from userdata.worker.by_hand.local_model import find_local_model

        self._options = options
        self._model = find_local_model(options.ckpt)
        self._initial_image = _read_image("--init-img", options.init_img) if script == "img2img" else None
        size = None
        if self._initial_image and options.H is None and options.W is None:
            size = size_from(self._initial_image.image, options.init_img)
        self._job = job_of(script, options, model=self._model.name or USUAL_MODEL, size=size)
        self._requests = _requests(options, self._job)
        if self._initial_image and self._job.init_mask:
            self._initial_image = _masked(self._initial_image, options.init_mask, self._requests)
        self._folder = OutputFolder(Path(options.outdir))
        self._images: dict[int, Image.Image] = {}
        self._check_that_something_is_saved()

    def do(self) -> None:
        """Draws and saves all images. Raises `RunError`."""
        from userdata.worker.drawing.drawing import Drawing
        from userdata.worker.drawing.drawing_hooks import DrawingHooks
        from userdata.worker.drawing.safety_classifier import SafetyClassifier
        from userdata.worker.drawing.tell_of_prompts import tell_of_syntax, tell_what_is_cut

        asked = {"Height": str(self._options.H or ""), "Width": str(self._options.W or ""), "Model": self._job.model}
        for sentence in rounded_in_words(asked):
            logger.info("%s", sentence)
        tell_of_syntax(self._job, self._requests)
        self._folder.check()
        names = [one.name for one in listed_embeddings(self._job.embeddings)]
        pipeline = self._model.load(
            from_image=self._job.from_image,
            precision=str(self._job.precision),
            prediction=str(self._job.prediction),
            vae=Path(self._options.vae) if self._options.vae else None,
            embeddings=dict(zip(names, map(Path, self._options.embedding), strict=True)),
        )
        tell_what_is_cut(pipeline, self._requests)
        flags_of = None
        if self._model.safety_checker:
            flags_of = SafetyClassifier(self._model.safety_checker, device=pipeline.device).flags
        elif find_model(self._job.model).safety_checker:
            logger.info("No safety checker is on this machine: the images are not checked")
        Drawing(
            pipeline,
            self._job,
            self._requests,
            total=len(self._requests),
            initial_image=self._initial_image.image if self._initial_image else None,
            hooks=DrawingHooks(self._save, flags_of=flags_of),
        ).do()
        if not self._options.skip_grid:
            images = [self._images[index] for index in range(len(self._requests))]
            write_grid(self._folder.grid, images, self._job, self._requests)
        sys.stdout.write(f"{len(self._requests)} images -> {self._folder.folder}\n")

    def _check_that_something_is_saved(self) -> None:
        width, height = grid_size(**grid_layout(self._job, self._requests))
        if self._options.skip_save and width * height > MOST_PIXELS:
            raise RunError(
                f"--skip_save leaves the grid alone, and a grid of {len(self._requests)} images would be {width} × "
                f"{height} pixels, too large to open. Take --skip_save out, or ask for fewer images."
            )

    def _save(self, drawn: DrawnImage) -> None:
        if drawn.flagged:
            logger.warning("The safety checker flagged image %d: it is kept", drawn.index)
        if self._options.skip_save or not self._options.skip_grid:
            self._images[drawn.index] = drawn.image
        if self._options.skip_save:
            return
        record = describe_image(
            self._job,
            self._requests,
            drawn.index,
            run_id="",
            seconds=drawn.seconds,
            drawn_with=drawn.drawn_with,
            versions=library_versions(),
            initial_image=self._initial_image,
            flagged=drawn.flagged,
            checkpoint=None if self._model.name else self._model.place.name,
        )
        write_atomically(self._folder.sample(drawn.index), png_with_record(drawn.image, record))


def _read_image(option: str, file: str) -> InitialImage:
    try:
        image = read_image(Path(file).read_bytes())
    except (OSError, ValueError) as error:
        raise RunError(f"{option} is {file!r}, but must be a {FORMATS_IN_WORDS} image ({error}).") from error
    for sentence in told_of(image, "InitMask" if option == "--init-mask" else "InitImage"):
        logger.info("%s", sentence)
    return image


def _masked(image: InitialImage, file: str, requests: Sequence[ImageRequest]) -> InitialImage:
    try:
        return with_mask(image, _read_image("--init-mask", file), requests)
    except ValueError as error:
        raise RunError(f"--init-mask is {file!r}, but {error}.") from error


def _requests(options: argparse.Namespace, job: Job) -> list[ImageRequest]:
    if not options.from_file:
        return image_requests(job, drawn_seed=draw_seed())
    try:
        lines = read_prompt_file(Path(options.from_file).read_bytes(), job)
        return image_requests(job, lines, drawn_seed=draw_seed())
    except OSError as error:
        raise RunError(f"--from-file is {options.from_file!r}, which cannot be read ({error}).") from error
    except PromptFileError as error:
        raise RunError(f"The prompt file {options.from_file} cannot be used. {error}") from error
