"""Draws what the model in the box makes of a mask and of a second pass: `python -m ...draw_second_looks FOLDER`.

It writes `inpainted.png` and `upscaled.png`, by the worker's own code, on the CPU.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from demo_model.publishing.draw_contact_sheet import sheet
from demo_model.publishing.publish import BOX, NAME
from scripts.interruption.signals import ends_in_a_sentence
from userdata.job.image_request import image_requests
from userdata.job.job import Job
from userdata.worker.drawing.generate import draw_batch, prepare_sampler
from userdata.worker.model.pipeline import for_image_to_image, load_pipeline

PROMPT, SEED = "a dog on the grass and a house", 7
MASK = (0, 40, 66, 118)  # left, upper, right, lower, in pixels
REDRAWN = ("a horse on the grass and a house", "a tree on the grass and a house", "green grass and a house")
STRENGTHS = (0.08, 0.25, 0.75)


class Box:
    """The model in the box."""

    def __init__(self) -> None:
        self._from_text = load_pipeline(BOX, layout=None, device=torch.device("cpu"), from_image=False)
        self._from_image = for_image_to_image(self._from_text)
        self._own = dict(self._from_text.scheduler.config)

    def draw(self, prompt: str, initial_image: Image.Image | None = None, **given: Any) -> Image.Image:
        """One image of `prompt`."""
        job = Job(model=NAME, prompt=prompt, seed=SEED, n_iter=1, n_samples=1, **given)
        pipeline, requests = self._from_image if job.from_image else self._from_text, image_requests(job)
        prepare_sampler(pipeline, requests[0], self._own, from_image=job.from_image)
        (drawn,) = draw_batch(pipeline, job, requests, initial_image=initial_image, on_step=lambda _share: None)
        return drawn.image


def main() -> None:
    """Draws both pictures into the folder that the command line names."""
    parser = argparse.ArgumentParser(description="Draw what the model in the box makes of a mask and a second pass.")
    parser.add_argument("folder", type=Path, help="the folder to write them to")
    folder = parser.parse_args().folder
    box = Box()
    first = box.draw(PROMPT)
    mask = Image.new("L", first.size)
    mask.paste(255, MASK)
    masked = first.copy()
    masked.putalpha(mask)
    given: dict[str, Any] = {"init_img": "inputs/image.png", "init_mask": "inputs/mask.png", "strength": 1.0}
    redrawn = [box.draw(prompt, masked, **given) for prompt in REDRAWN]
    labels = [PROMPT, "its mask", *REDRAWN]
    sheet([first, mask.convert("RGB"), *redrawn], labels, columns=5).save(folder / "inpainted.png", optimize=True)
    enlarged = first.resize((2 * first.width, 2 * first.height), Image.Resampling.BICUBIC)
    larger = [box.draw(PROMPT, upscale=2, strength=strength) for strength in STRENGTHS]
    labels = ["only enlarged", *(f"strength {strength:g}" for strength in STRENGTHS)]
    sheet([enlarged, *larger], labels, columns=4).save(folder / "upscaled.png", optimize=True)


if __name__ == "__main__":
    with ends_in_a_sentence():
        main()
