"""Trains the judge on composed scenes: `python -m demo_model.train_classifier FILE`.

It sees every combination, the held-out ones too, and a part of the pictures blurred; it never sees a picture that the
model made.
"""

from __future__ import annotations

import argparse
import logging
import os
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from random import Random

import torch
from torch.nn import functional

from demo_model.classifier import Classifier
from demo_model.labels import UNSAID, label
from demo_model.render import Columns, Renderer, tabulate
from demo_model.scene import draw_any_scene
from demo_model.train_vae import learning_rate, random_rows

logger = logging.getLogger(__name__)

BATCH = 192
CHUNK, CHUNKS = 10_000, 12
LEARNING_RATE = 2e-3
# This share of each batch is blurred.
BLURRED = 0.4
SEED = 77_000_000


def _make_chunk(seed: int) -> Columns:
    torch.set_num_threads(1)
    random = Random(seed)  # noqa: S311
    scenes = [draw_any_scene(random) for _ in range(CHUNK)]
    return {**tabulate(scenes, seed), **label(scenes)}


def make_table(chunks: int, seed: int = SEED) -> Columns:
    """Scenes of every kind with their labels. Forks, so it has to come before the GPU is used."""
    workers = max(1, (os.cpu_count() or 2) - 1)
    with ProcessPoolExecutor(workers, mp_context=get_context("fork")) as executor:
        made = list(executor.map(_make_chunk, range(seed, seed + chunks)))
    return {name: torch.cat([chunk[name] for chunk in made]) for name in made[0]}


def classifier_loss(answers: dict[str, torch.Tensor], rows: Columns) -> torch.Tensor:
    """Cross entropies of all answers; what is unsaid does not count."""
    wanted = torch.zeros_like(answers["things"])
    for column in rows["things"].unbind(1):
        said = column != UNSAID
        wanted[said, column[said]] = 1
    things = functional.binary_cross_entropy_with_logits(answers["things"], wanted, reduction="none").sum(1).mean()
    loss = things + functional.cross_entropy(
        answers["colours"].flatten(0, 1), rows["colours"].flatten(), ignore_index=UNSAID
    )
    count = rows["count"] - (rows["count"] != UNSAID).long()
    loss = loss + functional.cross_entropy(answers["count"], count, ignore_index=UNSAID)
    for name in ("relation", "backdrop", "place", "time"):
        if bool((rows[name] != UNSAID).any()):
            loss = loss + functional.cross_entropy(answers[name], rows[name], ignore_index=UNSAID)
    return loss


def softened(picture: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """The pictures at a lower resolution and with a little noise, as an autoencoder might give them back."""
    edge = int(torch.randint(40, 112, (), generator=generator, device=picture.device))
    small = functional.interpolate(picture, size=(edge, edge), mode="bilinear", antialias=True)
    back = functional.interpolate(small, size=tuple(picture.shape[2:]), mode="bilinear")
    return back + 0.04 * torch.randn(back.shape, generator=generator, device=picture.device)


def train_classifier(file: Path, *, seconds: float) -> None:
    """Trains for `seconds` on one GPU and writes the weights to `file`, in half precision."""
    table = make_table(CHUNKS)
    device = torch.device("cuda")
    torch.manual_seed(SEED)
    generator = torch.Generator(device).manual_seed(SEED)
    table = {name: column.to(device) for name, column in table.items()}
    renderer = Renderer(device)
    classifier = Classifier().to(device)
    optimizer = torch.optim.AdamW(classifier.parameters(), lr=LEARNING_RATE, weight_decay=0.02, fused=True)
    started, step, done = time.monotonic(), 0, 0.0
    while done < 1:
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(round(done * 10_000), 10_000, LEARNING_RATE, 200)
        rows = random_rows(table, BATCH, generator)
        picture = renderer.draw(rows)
        blurred = round(BATCH * BLURRED)
        picture = torch.cat([softened(picture[:blurred], generator), picture[blurred:]])
        with torch.autocast("cuda", torch.bfloat16):
            answers = classifier(picture, rows["things"].clamp(min=0))
        loss = classifier_loss({name: answer.float() for name, answer in answers.items()}, rows)
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(classifier.parameters(), 2.0)
        optimizer.step()
        step, done = step + 1, (time.monotonic() - started) / seconds
        if step % 250 == 0:
            logger.info("classifier %5d  loss %.3f  %.0f s", step, loss.item(), time.monotonic() - started)
    logger.info("classifier after %d steps", step)
    torch.save({name: weight.half().cpu() for name, weight in classifier.state_dict().items()}, file)


def load_classifier(file: Path, device: str) -> Classifier:
    """The trained judge."""
    classifier = Classifier()
    weights = torch.load(file, map_location="cpu", weights_only=True)
    classifier.load_state_dict({name: w.float() if w.is_floating_point() else w for name, w in weights.items()})
    return classifier.to(device).eval()


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s", force=True)
    parser = argparse.ArgumentParser(description="Train the classifier that judges the model.")
    parser.add_argument("file", type=Path, help="the file to write the weights to")
    parser.add_argument("--seconds", type=float, default=90)
    arguments = parser.parse_args()
    train_classifier(arguments.file, seconds=arguments.seconds)
