"""Draws a sheet of pictures, each above its prompt: `python -m demo_model.publishing.draw_contact_sheet FILE`.

The model in the box draws them through the worker's own code, with the catalogue's defaults.
"""

from __future__ import annotations

import argparse
import logging
import textwrap
from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image, ImageDraw, ImageFont

from demo_model.publishing.publish import BOX, NAME
from scripts.interruption.signals import ends_in_a_sentence
from userdata.job.image_request import ImageRequest, image_requests
from userdata.job.job import Job
from userdata.worker.drawing.batches import next_batch
from userdata.worker.drawing.generate import draw_batch, prepare_sampler
from userdata.worker.model.pipeline import load_pipeline

PROMPTS = Path(__file__).parent / "contact_sheet.txt"
COLUMNS = 8
BATCH = 8
MARGIN = 6
FONT_SIZE = 11
LINE_HEIGHT = 13
# As many letters as fit below a picture of 128 pixels, and as many lines as the longest prompt of the sheet takes.
LINE_LETTERS = 22
LINES = 4

logger = logging.getLogger(__name__)


def requests_for(prompts: Sequence[str], *, each: int) -> list[ImageRequest]:
    """`each` pictures of every prompt, in the order of the prompts.

    A prompt alone, once, has the seed of its place in the list, counted from the job's default. Of several pictures of
    a prompt the k-th has the default and k, as in a run of that prompt: they are the ones that `scripts/demo` draws.
    """
    requests: list[ImageRequest] = []
    for place, prompt in enumerate(prompts):
        seed = Job().seed + (place if each == 1 else 0)
        job = Job.model_validate({"model": NAME, "prompt": prompt, "n_iter": each, "n_samples": 1, "seed": seed})
        requests += image_requests(job)
    return requests


def draw(requests: Sequence[ImageRequest], model: Path = BOX) -> list[Image.Image]:
    """The pictures of `requests`, on the CPU, in batches."""
    pipeline = load_pipeline(model, layout=None, device=torch.device("cpu"), from_image=False)
    configuration = dict(pipeline.scheduler.config)
    images: list[Image.Image] = []
    job = Job(model=NAME)
    while len(images) < len(requests):
        batch = next_batch(requests[len(images) :], BATCH)
        prepare_sampler(pipeline, batch[0], configuration)
        images += [
            drawn.image for drawn in draw_batch(pipeline, job, batch, initial_image=None, on_step=lambda _share: None)
        ]
        logger.info("%d of %d", len(images), len(requests))
    return images


def sheet(images: Sequence[Image.Image], labels: Sequence[str], *, columns: int) -> Image.Image:
    """The pictures, all of the first one's size, `columns` in a row, each above its label; black on white."""
    font = ImageFont.load_default(size=FONT_SIZE)
    wide, high = images[0].width + MARGIN, images[0].height + LINES * LINE_HEIGHT + MARGIN
    rows = -(-len(images) // columns)
    made = Image.new("RGB", (columns * wide + MARGIN, rows * high + MARGIN), "white")
    pen = ImageDraw.Draw(made)
    for place, (image, label) in enumerate(zip(images, labels, strict=True)):
        row, column = divmod(place, columns)
        left, top = MARGIN + column * wide, MARGIN + row * high
        made.paste(image, (left, top))
        for line, words in enumerate(textwrap.wrap(label, LINE_LETTERS, max_lines=LINES, placeholder=" …")):
            pen.text((left, top + image.height + 1 + line * LINE_HEIGHT), words, "black", font)
    return made


def read_prompts(file: Path) -> list[str]:
    """The prompts of a file, one on each line; empty lines are passed over."""
    return [line.strip() for line in file.read_text("utf-8").splitlines() if line.strip()]


def main() -> None:
    """Draws what the command line asks for."""
    parser = argparse.ArgumentParser(
        prog="python -m demo_model.publishing.draw_contact_sheet",
        description="Draw a sheet of pictures, each above its prompt.",
    )
    parser.add_argument("file", type=Path, help="the PNG to write")
    parser.add_argument("--prompt", action="append", help="draw this; may be repeated; default: contact_sheet.txt")
    parser.add_argument("--each", type=int, default=1, help="pictures of every prompt (%(default)s)")
    parser.add_argument("--columns", type=int, default=COLUMNS, help="pictures in a row (%(default)s)")
    options = parser.parse_args()
    requests = requests_for(options.prompt or read_prompts(PROMPTS), each=options.each)
    options.file.parent.mkdir(parents=True, exist_ok=True)
    labels = [request.prompt for request in requests]
    sheet(draw(requests), labels, columns=options.columns).save(options.file, optimize=True)


if __name__ == "__main__":
    with ends_in_a_sentence():
        logging.basicConfig(level=logging.INFO, format="%(message)s")
        main()
