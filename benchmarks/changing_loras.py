"""`python -m benchmarks.changing_loras`: compares images that want different LoRAs with those of a run of their own.

Draws the same images twice: in one run, between whose images the LoRA's weight changes, and for each weight with a
newly loaded model. The model has Stable Diffusion v1's size and random weights; the LoRA changes each attention of its
U-Net. Many images are drawn with fused kernels, which keep what they compute from weights, and few with a CUDA graph,
which keeps the weights' addresses. `--model tiny` goes the same way without a GPU.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import save_file

from benchmarks.card import describe
from benchmarks.random_checkpoint import make_model
from benchmarks.runs import load
from scripts.interruption.scratch_folder import scratch_folder
from scripts.interruption.signals import ends_in_a_sentence
from userdata.job.image_request import ImageRequest, image_requests
from userdata.job.job import Job
from userdata.worker.between.task import DrawnImage
from userdata.worker.drawing.drawing import Drawing
from userdata.worker.drawing.drawing_hooks import DrawingHooks
from userdata.worker.model.lora import Loras

WEIGHTS = (0.8, 0.0, -0.5, 0.8)
RANK = 8


class Comparison:
    """The two ways, with the model and the LoRA in the folder `scratch`."""

    def __init__(self, scratch: Path, *, tiny: bool) -> None:
        self.device = torch.device("cpu" if tiny else "cuda")
        self._layout = "" if tiny else "stable-diffusion-v1"
        self._size = {"H": 64, "W": 64, "ddim_steps": 2} if tiny else {"H": 512, "W": 512, "ddim_steps": 75}
        self._model, self._lora = scratch / "model", scratch / "style.safetensors"
        make_model(self._model, tiny=tiny, device=self.device)
        self._write_lora()

    def differing(self, count: int) -> int:
        """How many of `count` images of each weight differ; prints what was compared."""
        jobs = [
            Job(prompt="a horse", n_iter=count, n_samples=1, lora=f"inputs/style.safetensors:{weight}", **self._size)
            for weight in WEIGHTS
        ]
        requests = [
            replace(request, index=number * count + request.index)
            for number, job in enumerate(jobs)
            for request in image_requests(job)
        ]
        together = self._draw(jobs[0], requests)
        apart: dict[int, DrawnImage] = {}
        for weight in set(WEIGHTS):
            apart |= self._draw(jobs[0], [one for one in requests if (one.loras or {}).get("style", 0.0) == weight])
        pictures = {index: drawn.image.tobytes() for index, drawn in together.items()}
        differing = sum(picture != apart[index].image.tobytes() for index, picture in pictures.items())
        ways = Counter(drawn.drawn_with.execution for drawn in [*together.values(), *apart.values()])
        sys.stdout.write(
            f"weights {WEIGHTS}, {count} images each: {len(set(pictures.values()))} pictures, {differing} of "
            f"{len(pictures)} images differ from those of a run of their own; drawn with {dict(ways)}\n"
        )
        return differing

    def _draw(self, job: Job, requests: Sequence[ImageRequest]) -> dict[int, DrawnImage]:
        drawn: dict[int, DrawnImage] = {}
        pipeline = load(self._model, layout=self._layout, device=self.device)
        hooks = DrawingHooks(lambda image: drawn.__setitem__(image.index, image))
        loras = Loras(pipeline, {"style": self._lora}, restorable=True)
        Drawing(pipeline, job, requests, total=len(requests), initial_image=None, hooks=hooks, loras=loras).do()
        return drawn

    def _write_lora(self) -> None:
        unet = load(self._model, layout=self._layout, device=torch.device("cpu")).unet
        generator = torch.Generator().manual_seed(1)
        tensors = {}
        for name, module in unet.named_modules():
            if isinstance(module, torch.nn.Linear) and ".attn" in name:
                for part, shape in (("A", (RANK, module.in_features)), ("B", (module.out_features, RANK))):
                    tensors[f"unet.{name}.lora_{part}.weight"] = 0.1 * torch.randn(shape, generator=generator)
        save_file(tensors, self._lora)


def main() -> int:
    """The exit code: 1 when an image differs."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.changing_loras")
    parser.add_argument("--model", choices=["stable-diffusion-v1", "tiny"], default="stable-diffusion-v1")
    parser.add_argument("--images", type=int, nargs="+", default=[3, 48], help="of each weight, for each comparison")
    asked = parser.parse_args()
    with scratch_folder("sd-benchmark-") as scratch:
        comparison = Comparison(scratch, tiny=asked.model == "tiny")
        sys.stdout.write(f"{describe(comparison.device)}\n")
        return 1 if sum(comparison.differing(count) for count in asked.images) else 0


if __name__ == "__main__":
    with ends_in_a_sentence():
        sys.exit(main())
